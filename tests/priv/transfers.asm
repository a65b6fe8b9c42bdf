; Call gates, interrupt and trap gates, far returns and IRET between privilege levels, faults during
; the delivery of events, double fault, the I/O permission map. SDM 3A 5.8, 6.12 to 6.15; 1 19.5.
%include "lib.inc"
%include "desc.inc"

G       equ gdt + TEST1 ; the gate under test
GSEL    equ TEST1 + 3

main:
    call call_gates
    call gate_checks
    call inner_stacks
    call interrupts
    call nested
    call returns
    call user_flags
    call io_map
    ret

; Where gates lead: remembers what it finds, and returns over %1 bytes of parameters.
%macro TARGET 2
%1:
    mov [seen_esp], esp
    mov word [seen_cs], cs
    mov word [seen_ss], ss
    pop dword [seen_0]
    pop dword [seen_4]
    pop dword [seen_8]
    pop dword [seen_12]
    pop dword [seen_16]
    pop dword [seen_20]
    mov esp, [seen_esp]
    retf %2
%endmacro
    TARGET target, 0
    TARGET target8, 8
    TARGET target4, 4
bits 16
target16:
    mov [dword seen_esp], esp
    mov eax, [esp]
    mov [dword seen_0], eax
    mov eax, [esp + 4]
    mov [dword seen_4], eax
    int URET
bits 32
section .data
align 4
seen_esp: dd 0
seen_cs: dd 0
seen_ss: dd 0
seen_0: dd 0
seen_4: dd 0
seen_8: dd 0
seen_12: dd 0
seen_16: dd 0
seen_20: dd 0
user_esp: dd 0
section .text

call_gates:
    ; From CPL 3 to CPL 0: the stack of the TSS, the caller's SS:ESP, parameters, CS:EIP on it.
    GATE G, KCODE, target8, 0xec, 2
    BEGIN
    USER
    push dword 0x1111
    push dword 0x2222
    call GSEL:0
.back:
    mov [user_esp], esp
    RUNS "call_gate"
    EQUALS "call_gate_esp", dword [seen_esp], STACKI - 24
    movzx eax, word [seen_cs]
    EQUALS "call_gate_cs", eax, KCODE
    movzx eax, word [seen_ss]
    EQUALS "call_gate_ss", eax, KDATA
    EQUALS "call_gate_return", dword [seen_0], .back
    movzx eax, word [seen_4]
    EQUALS "call_gate_return_cs", eax, UCODE
    EQUALS "call_gate_parameter_low", dword [seen_8], 0x2222
    EQUALS "call_gate_parameter_high", dword [seen_12], 0x1111
    EQUALS "call_gate_old_esp", dword [seen_16], STACK3 - 8
    movzx eax, word [seen_20]
    EQUALS "call_gate_old_ss", eax, UDATA
    EQUALS "retf_drops_parameters", dword [user_esp], STACK3
    ; The same level: no stack switch, nothing copied.
    GATE G, KCODE, target4, 0x8c, 5
    BEGIN
    push dword 0x3333
    call TEST1:0xdead               ; the offset is the gate's
    mov [user_esp], esp
    RUNS "call_gate_same_level"
    mov eax, [catch_sp]
    sub eax, 12
    EQUALS "call_gate_same_level_esp", dword [seen_esp], eax
    EQUALS "call_gate_same_level_parameter", dword [seen_8], 0x3333
    EQUALS "call_gate_same_level_after", dword [user_esp], dword [catch_sp]
    ; A conforming target keeps CPL 3 and the stack.
    DESC TEST2, 0, 0xfffff, 0x9f, 0xc
    GATE G, TEST2, target, 0xec, 0
    BEGIN
    USER
    call GSEL:0
    RUNS "call_gate_conforming"
    movzx eax, word [seen_cs]
    EQUALS "call_gate_conforming_cs", eax, TEST2 + 3
    EQUALS "call_gate_conforming_esp", dword [seen_esp], STACK3 - 8
    ; Conforming code can be called without a gate from CPL 3, and jumped to.
    BEGIN
    USER
    call TEST2:target
    RUNS "call_conforming"
    movzx eax, word [seen_cs]
    EQUALS "call_conforming_cs", eax, TEST2 + 3
    ; JMP through a gate works where no level changes.
    GATE G, UCODE, .landed, 0xec, 0
    BEGIN
    USER
    jmp GSEL:0
.landed:
    RUNS "jump_gate"
    GATE G, KCODE, target, 0xec, 0
    BEGIN
    USER
AT  jmp GSEL:0
    FAULTS "jump_gate_inward", X_GP, KCODE
    ; A 16-bit gate pushes words.
    DESC TEST3, 0x100000, 0xffff, 0x9b, 0
    mov eax, target16 - 0x100000
    mov [G], ax
    mov dword [G + 2], 0xe4010000 | TEST3
    mov word [G + 6], 0xffff            ; not looked at
    BEGIN
    USER
    push word 0x7777
    call GSEL:0
.back16:
    FAULTS "call_gate_16", URET
    EQUALS "call_gate_16_esp", dword [seen_esp], STACKI - 10
    mov eax, .back16
    and eax, 0xffff
    or eax, UCODE << 16
    EQUALS "call_gate_16_return", dword [seen_0], eax
    movzx eax, word [seen_4]
    EQUALS "call_gate_16_parameter", eax, 0x7777
    ret

; CHECK name, selector called, vector, error code: CALL and JMP alike.
%macro CHECK 4
    BEGIN
    USER
AT  call %2:0
    FAULTS %1, %3, %4
    BEGIN
    USER
AT  jmp %2:0
    FAULTS %1, %3, %4
%endmacro

gate_checks:
    GATE G, KCODE, target, 0x8c, 0
    CHECK "gate_dpl", TEST1, X_GP, TEST1
    GATE G, KCODE, target, 0xcc, 0
    CHECK "gate_dpl_2", GSEL, X_GP, TEST1
    GATE G, KCODE, target, 0x6c, 0
    CHECK "gate_absent", GSEL, X_NP, TEST1
    GATE G, 0, target, 0xec, 0
    CHECK "gate_null_target", GSEL, X_GP, 0
    GATE G, 3, target, 0xec, 0
    CHECK "gate_null_target_rpl", GSEL, X_GP, 0
    GATE G, UDATA, target, 0xec, 0
    CHECK "gate_to_data", GSEL, X_GP, UDATA & ~3
    GATE G, gdt_end - gdt, target, 0xec, 0
    CHECK "gate_to_outside", GSEL, X_GP, gdt_end - gdt
    DESC TEST2, 0, 0xfffff, 0x1b, 0xc
    GATE G, TEST2, target, 0xec, 0
    BEGIN
    USER
AT  call GSEL:0
    FAULTS "gate_to_absent_code", X_NP, TEST2
    GATE G, TSSSEL, target, 0xec, 0
    CHECK "gate_to_tss", GSEL, X_GP, TSSSEL
    ; Outer code by a gate: the target may not be less privileged.
    GATE G, UCODE, target, 0x8c, 0
    BEGIN
AT  call TEST1:0
    FAULTS "gate_outward", X_GP, UCODE & ~3
    ; The offset must lie within the target.
    DESC TEST2, 0, 0xff, 0xfb, 4
    GATE G, TEST2, 0x100, 0xec, 0
    CHECK "gate_beyond_limit", GSEL, X_GP, 0
    DESC TEST2, 0, 0xff, 0x9b, 4
    BEGIN
    USER
AT  call GSEL:0
    FAULTS "gate_beyond_limit_inward", X_GP, 0
    EQUALS "gate_beyond_limit_inward_esp", dword [got_sp], STACK3
    ; No gate at all.
    DESC TEST2, 0, 0xfffff, 0x93, 0xc
    CHECK "call_data", TEST2, X_GP, TEST2
    mov dword [gdt + TEST1 + 4], 0xee00     ; an interrupt gate
    CHECK "call_interrupt_gate", GSEL, X_GP, TEST1
    mov dword [gdt + TEST1 + 4], 0xe200     ; an LDT
    CHECK "call_ldt", GSEL, X_GP, TEST1
    CHECK "call_kernel_code", KCODE, X_GP, KCODE
    CHECK "call_null", 0, X_GP, 0
    CHECK "call_null_rpl", 2, X_GP, 0
    ret

; The inner stack that the TSS names is checked: #TS(selector), #SS(selector). The handler needs a
; good one: it is entered from CPL 3 too. So the code at CPL 1 is called, whose stack is SS1:ESP1.
inner_stacks:
    DESC TEST2, 0, 0xfffff, 0xbb, 0xc           ; code, DPL 1
    GATE G, TEST2 + 1, target, 0xec, 0
    mov dword [tss + 12], 0x88000
%macro STACK1 4                                 ; name, SS1, vector, error code
    mov dword [tss + 16], %2
    BEGIN
    USER
AT  call GSEL:0
    FAULTS %1, %3, %4
%endmacro
    STACK1 "stack_null", 0, X_TS, 0
    STACK1 "stack_outside_gdt", (gdt_end - gdt) | 1, X_TS, gdt_end - gdt
    STACK1 "stack_rpl", KDATA, X_TS, KDATA
    STACK1 "stack_dpl", KDATA + 1, X_TS, KDATA
    DESC TEST3, 0, 0xfffff, 0xb1, 0xc
    STACK1 "stack_readonly", TEST3 + 1, X_TS, TEST3
    DESC TEST3, 0, 0xfffff, 0xbb, 0xc
    STACK1 "stack_code", TEST3 + 1, X_TS, TEST3
    DESC TEST3, 0, 0xfffff, 0x33, 0xc
    STACK1 "stack_absent", TEST3 + 1, X_SS, TEST3
    DESC TEST3, 0, 0x87fff - 0x10, 0xb3, 4
    STACK1 "stack_too_small", TEST3 + 1, X_SS, TEST3
    ; A good one: CPL 1 is reached and comes back.
    DESC TEST3, 0, 0xfffff, 0xb3, 0xc
    mov dword [tss + 16], TEST3 + 1
    BEGIN
    USER
    call GSEL:0
    RUNS "stack_good"
    movzx eax, word [seen_ss]
    EQUALS "stack_good_ss", eax, TEST3 + 1
    EQUALS "stack_good_esp", dword [seen_esp], 0x88000 - 16
    ; A TSS too short to hold SS1.
    mov word [gdt + TSSSEL], 0x10
    and byte [gdt + TSSSEL + 5], 0xfd
    mov ax, TSSSEL
    ltr ax
    BEGIN
    USER
AT  call GSEL:0
    FAULTS "tss_too_short", X_TS, TSSSEL
    mov word [gdt + TSSSEL], 0x67
    and byte [gdt + TSSSEL + 5], 0xfd
    mov ax, TSSSEL
    ltr ax
    ret

interrupts:
    ; An interrupt gate clears IF, a trap gate does not; both clear TF, NT, RF of the handler.
    GATE idt + 0x31 * 8, KCODE, .handler, 0xee, 0
    GATE idt + 0x32 * 8, KCODE, .handler, 0xef, 0
    mov word [.frame_ss], 0
    BEGIN
    USER
    int 0x31
.back:
    RUNS "interrupt_gate"
    mov eax, [.flags]
    and eax, 0x4300
    EQUALS "interrupt_gate_flags", eax, 0
    EQUALS "interrupt_gate_eip", dword [.frame], .back
    EQUALS "interrupt_gate_cs", dword [.frame + 4], UCODE
    EQUALS "interrupt_gate_esp", dword [.frame + 12], STACK3
    EQUALS "interrupt_gate_ss", dword [.frame + 16], UDATA
    BEGIN
    USER
    int 0x32
    RUNS "trap_gate"
    BEGIN
    pushfd
    or dword [esp], 0x4000              ; NT
    popfd
    int 0x31
    pushfd
    pop dword [.value]
    pushfd
    and dword [esp], ~0x4000
    popfd
    RUNS "interrupt_clears_nt"
    mov eax, [.flags]
    and eax, 0x4000
    EQUALS "interrupt_clears_nt_flags", eax, 0
    mov eax, [.value]
    and eax, 0x4000
    EQUALS "iret_restores_nt", eax, 0x4000
    ; A conforming handler runs at the level of what it interrupts.
    DESC TEST2, 0, 0xfffff, 0x9f, 0xc
    GATE idt + 0x31 * 8, TEST2, .conforming, 0xee, 0
    BEGIN
    USER
    int 0x31
    RUNS "interrupt_conforming"
    EQUALS "interrupt_conforming_cs", dword [.value], TEST2 + 3
    ; Software interrupts: gate checks with IDT error codes.
    GATE idt + 0x31 * 8, 0, .handler, 0xee, 0
    BEGIN
    USER
AT  int 0x31
    FAULTS "interrupt_null", X_GP, 0
    GATE idt + 0x31 * 8, UDATA, .handler, 0xee, 0
    BEGIN
    USER
AT  int 0x31
    FAULTS "interrupt_to_data", X_GP, UDATA & ~3
    GATE idt + 0x31 * 8, UCODE, .handler, 0x8e, 0
    BEGIN
AT  int 0x31
    FAULTS "interrupt_outward", X_GP, UCODE & ~3
    DESC TEST2, 0, 0xfffff, 0x1b, 0xc
    GATE idt + 0x31 * 8, TEST2, .handler, 0xee, 0
    BEGIN
AT  int 0x31
    FAULTS "interrupt_to_absent", X_NP, TEST2
    GATE idt + 0x31 * 8, KCODE, .handler, 0xec, 0
    BEGIN
AT  int 0x31
    FAULTS "interrupt_call_gate", X_GP, 0x31 * 8 + 2
    GATE idt + 0x31 * 8, KCODE, .handler, 0x8e, 0
    BEGIN
    USER
AT  int 0x31
    FAULTS "interrupt_dpl", X_GP, 0x31 * 8 + 2
    ; INT3 and INTO look at the gate's DPL too.
    and byte [idt + X_BP * 8 + 5], 0x9f
    BEGIN
    USER
AT  int3
    FAULTS "int3_dpl", X_GP, X_BP * 8 + 2
    or byte [idt + X_BP * 8 + 5], 0x60
    ; INT 3 by its two-byte form is a trap as well.
    BEGIN
    USER
    db 0xcd, 3
AT  nop
    FAULTS "int_3_two_bytes", X_BP
    ret
.handler:
    pushfd
    pop dword [.flags]
    push esi
    push edi
    push ecx
    lea esi, [esp + 12]
    mov edi, .frame
    mov ecx, 5
    rep movsd
    pop ecx
    pop edi
    pop esi
    iretd
.conforming:
    mov [.value], cs
    iretd
section .data
align 4
.flags: dd 0
.frame: times 4 dd 0
.frame_ss: dd 0
.value: dd 0
section .text

; Events that fault on their delivery: EXT in the error code, and #DF where both are contributory.
nested:
    ; #UD is benign: the fault of its delivery is delivered in its place.
    and byte [idt + X_UD * 8 + 5], 0x7f
    BEGIN
AT  ud2
    FAULTS "ud_absent_gate", X_NP, X_UD * 8 + 3
    or byte [idt + X_UD * 8 + 5], 0x80
    mov word [idt + X_UD * 8 + 2], 0
    BEGIN
AT  ud2
    FAULTS "ud_null_selector", X_GP, 1
    mov word [idt + X_UD * 8 + 2], UDATA
    BEGIN
AT  ud2
    FAULTS "ud_to_data", X_GP, (UDATA & ~3) + 1
    mov word [idt + X_UD * 8 + 2], KCODE
    mov byte [idt + X_UD * 8 + 5], 0x8c
    BEGIN
AT  ud2
    FAULTS "ud_call_gate", X_GP, X_UD * 8 + 3
    mov byte [idt + X_UD * 8 + 5], 0x8e
    ; #DE, #GP, #NP and the like are contributory.
    and byte [idt + X_GP * 8 + 5], 0x7f
    BEGIN
AT  mov [cs:mb_header], eax
    FAULTS "gp_then_np_is_df", X_DF, 0
    or byte [idt + X_GP * 8 + 5], 0x80
    and byte [idt + X_DE * 8 + 5], 0x7f
    BEGIN
    xor ecx, ecx
AT  div ecx
    FAULTS "de_then_np_is_df", X_DF, 0
    or byte [idt + X_DE * 8 + 5], 0x80
    ; INT n that fails is no delivery of an exception: no EXT.
    and byte [idt + 0x33 * 8 + 5], 0x7f
    BEGIN
AT  int 0x33
    FAULTS "int_n_has_no_ext", X_NP, 0x33 * 8 + 2
    ; An IDT that ends at the vector's middle: #GP is before it and is reached.
    mov word [idt_ptr], X_AC * 8 + 3
    lidt [idt_ptr]
    BEGIN
AT  int X_AC
    FAULTS "idt_cut", X_GP, X_AC * 8 + 2
    mov word [idt_ptr], 64 * 8 - 1
    lidt [idt_ptr]
    ret

; RET FAR and IRET: what they check, and what they leave in the data segments.
%macro FRAME 2                      ; CS, EIP
    push dword %1
    push dword %2
%endmacro
; RETURNS name, CS, EIP, vector, error code: to the same or an outer level, RETF and IRETD.
%macro RETURNS 5
    BEGIN
    push dword UDATA
    push dword STACK3
    FRAME %2, %3
AT  retf
    FAULTS %1, %4, %5
    BEGIN
    push dword UDATA
    push dword STACK3
    pushfd
    FRAME %2, %3
AT  iretd
    FAULTS %1, %4, %5
%endmacro
; The same for the stack segment of an outer level.
%macro RETURNS_SS 4
    BEGIN
    push dword %2
    push dword STACK3
    FRAME UCODE, .user
AT  retf
    FAULTS %1, %3, %4
    BEGIN
    push dword %2
    push dword STACK3
    pushfd
    FRAME UCODE, .user
AT  iretd
    FAULTS %1, %3, %4
%endmacro
returns:
    RETURNS "return_null_cs", 0, .user, X_GP, 0
    RETURNS "return_outside_gdt", gdt_end - gdt, .user, X_GP, gdt_end - gdt
    RETURNS "return_to_data", KDATA, .user, X_GP, KDATA
    RETURNS "return_rpl_not_dpl", UCODE & ~3, .user, X_GP, UCODE & ~3
    RETURNS "return_dpl_not_rpl", KCODE + 3, .user, X_GP, KCODE
    DESC TEST2, 0, 0xfffff, 0x7b, 0xc
    RETURNS "return_absent", TEST2 + 3, .user, X_NP, TEST2
    DESC TEST2, 0, 0xff, 0xfb, 4
    RETURNS "return_beyond_limit", TEST2 + 3, 0x100, X_GP, 0
    DESC TEST2, 0, 0xff, 0x9b, 4
    RETURNS "return_beyond_limit_same_level", TEST2, 0x100, X_GP, 0
    RETURNS_SS "return_null_ss", 0, X_GP, 0
    RETURNS_SS "return_ss_rpl", UDATA & ~3, X_GP, UDATA & ~3
    RETURNS_SS "return_ss_dpl", KDATA + 3, X_GP, KDATA
    DESC TEST2, 0, 0xfffff, 0xf1, 0xc
    RETURNS_SS "return_ss_readonly", TEST2 + 3, X_GP, TEST2
    DESC TEST2, 0, 0xfffff, 0x73, 0xc
    RETURNS_SS "return_ss_absent", TEST2 + 3, X_SS, TEST2
    ; Data segments that the outer level may not use become null.
    mov ax, KDATA
    mov es, ax
    DESC TEST3, 0, 0xfffff, 0x9e, 0xc           ; conforming, readable
    mov ax, TEST3
    mov fs, ax
    mov ax, UDATA
    mov gs, ax
    BEGIN
    USER
    mov [.es], es
    mov [.fs], fs
    mov [.gs], gs
    RUNS "return_outward"
    movzx eax, word [.es]
    EQUALS "return_nulls_es", eax, 0
    movzx eax, word [.fs]
    EQUALS "return_keeps_conforming_fs", eax, TEST3
    movzx eax, word [.gs]
    EQUALS "return_keeps_gs", eax, UDATA
    ; From user code a return may not go inward.
    BEGIN
    USER
    FRAME KCODE, .user
AT  retf
    FAULTS "retf_inward", X_GP, KCODE
    BEGIN
    USER
    pushfd
    FRAME KCODE, .user
AT  iretd
    FAULTS "iret_inward", X_GP, KCODE
    ; Upper halves of what is popped into segment registers do not matter.
    BEGIN
    push dword 0xffff0000 | UDATA
    push dword STACK3
    pushfd
    push dword 0xffff0000 | UCODE
    push dword .user
    iretd
.user:
    int URET
    FAULTS "iret_upper_halves", URET
    ret
section .data
align 4
.es: dd 0
.fs: dd 0
.gs: dd 0
section .text

; Which flags user code can change, by IOPL: IF and IOPL silently stay.
user_flags:
    BEGIN
    USER
    pushfd
    pop eax
    or eax, 0x3200
    push eax
    popfd
    pushfd
    pop dword [.value]
    RUNS "popf_iopl_0"
    mov eax, [.value]
    and eax, 0x3200
    EQUALS "popf_iopl_0_flags", eax, 0
    BEGIN
    USER
    pushfd
    or dword [esp], 0x3200
    FRAME UCODE, .next
    iretd
.next:
    pushfd
    pop dword [.value]
    RUNS "iret_iopl_0"
    mov eax, [.value]
    and eax, 0x3200
    EQUALS "iret_iopl_0_flags", eax, 0
    ; With IOPL 3 IF can be changed, IOPL still not; CLI, STI, IN and OUT work.
    pushfd
    or dword [esp], 0x3000
    popfd
    BEGIN
    USER
    pushfd
    pop eax
    or eax, 0x0200
    and eax, ~0x3000
    push eax
    popfd
    pushfd
    pop dword [.value]
    cli
    in al, 0x80
    out 0x80, al
    RUNS "popf_iopl_3"
    mov eax, [.value]
    and eax, 0x3200
    EQUALS "popf_iopl_3_flags", eax, 0x3200
    BEGIN
    USER
AT  hlt
    FAULTS "hlt_iopl_3", X_GP, 0
    pushfd
    and dword [esp], ~0x3000
    popfd
    ; VM, VIP and VIF cannot be set by POPF; RF reads as zero.
    BEGIN
    pushfd
    or dword [esp], 0x1b0000
    popfd
    pushfd
    pop dword [.value]
    RUNS "popf_vm"
    mov eax, [.value]
    and eax, 0x1b0000
    EQUALS "popf_vm_flags", eax, 0
    ret
section .data
align 4
.value: dd 0
section .text

; The I/O permission map of the TSS: a bit for each port; an access needs all its bits clear.
io_map:
    mov edi, .map
    mov ecx, 33
    mov al, 0xff
    rep stosb
    ; The map lies behind the TSS in a copy of it.
    mov esi, tss
    mov edi, .tss
    mov ecx, 0x68 / 4
    rep movsd
    mov word [.tss + 0x66], 0x68
    mov eax, .tss
    mov dword [gdt + TEST4], 0x68 + 31          ; ports 0..255
    mov [gdt + TEST4 + 2], ax
    shr eax, 16
    mov ah, 0x89
    mov [gdt + TEST4 + 4], ax
    mov byte [gdt + TEST4 + 6], 0
    mov eax, .tss
    shr eax, 24
    mov [gdt + TEST4 + 7], al
    mov ax, TEST4
    ltr ax
    BEGIN
    USER
AT  in al, 0x80
    FAULTS "io_denied", X_GP, 0
    and byte [.map + 0x10], ~3                  ; 0x80 and 0x81
    BEGIN
    USER
    in al, 0x80
    out 0x81, al
    in ax, 0x80
    RUNS "io_allowed"
    BEGIN
    USER
AT  in ax, 0x81
    FAULTS "io_word_partly_denied", X_GP, 0
    BEGIN
    USER
AT  in eax, 0x80
    FAULTS "io_dword_partly_denied", X_GP, 0
    and byte [.map + 0x10], ~0x80               ; 0x87 and 0x88: over two bytes
    and byte [.map + 0x11], ~1
    BEGIN
    USER
    in ax, 0x87
    RUNS "io_word_over_two_bytes"
    ; The last port that the limit covers: its two bytes must lie within (the one behind too).
    and byte [.map + 31], 0
    BEGIN
    USER
AT  in al, 0xff
    FAULTS "io_limit", X_GP, 0
    mov word [gdt + TEST4], 0x68 + 32
    and byte [gdt + TEST4 + 5], ~2
    mov ax, TEST4
    ltr ax
    BEGIN
    USER
    in al, 0xff
    RUNS "io_limit_with_a_byte_behind"
    BEGIN
    USER
    mov edx, 0x108
AT  in al, dx
    FAULTS "io_beyond_limit", X_GP, 0
    and byte [gdt + TSSSEL + 5], ~2
    mov ax, TSSSEL
    ltr ax
    ret
section .data
align 16
.tss: times 0x68 db 0
.map: times 40 db 0xff
section .text
