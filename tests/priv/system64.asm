; Long mode beyond paging: SYSCALL, SYSENTER, SWAPGS, compatibility mode, interrupt frames and IST,
; segments and selectors, far transfers, what is gone, mode switches that are refused.
; SDM 3A 5.8.5 to 5.8.8, 6.14, 9.8; 2 (SYSCALL, SYSRET, SWAPGS, IRET, MOV).
%define UOFF 0x40000000
%include "lib.inc"
%include "long.inc"
%include "desc.inc"

EFER    equ 0xc0000080
STAR    equ 0xc0000081
LSTAR   equ 0xc0000082
CSTAR   equ 0xc0000083
FMASK   equ 0xc0000084
FSBASE  equ 0xc0000100
GSBASE  equ 0xc0000101
KGSBASE equ 0xc0000102

%macro WRMSR64 2                ; MSR, value
    mov rax, %2
    mov rdx, rax
    shr rdx, 32
    mov ecx, %1
    wrmsr
%endmacro
%macro RDMSR64 1                ; rax
    mov ecx, %1
    rdmsr
    shl rdx, 32
    or rax, rdx
%endmacro

PAGE0   equ TL                  ; a page of the test

main64:
    mov eax, handler31
    mov [idt + 0x31 * 16], ax
    shr eax, 16
    mov [idt + 0x31 * 16 + 6], ax
    mov byte [idt + 0x31 * 16 + 5], 0xee
    call frames
    call gone
    call segments
    call bases
    call syscalls
    call compat
    call transfers
    call switches
    ret

; --- Interrupt frames ---------------------------------------------------------------------------
frames:
    ; RSP is aligned to 16 before the frame; SS:RSP is always pushed.
    BEGIN
    mov rbp, rsp
    lea rsp, [rsp - 5]
    mov [.rsp], rsp
    int 0x31
    mov [.after], rsp
    mov rsp, rbp
    RUNS "frame"
    mov rax, [.rsp]
    and rax, -16
    sub rax, 40
    EQUALS "frame_aligned", qword [.seen], rax
    mov rax, [.rsp]
    EQUALS "frame_rsp", qword [.frame + 24], rax
    EQUALS "frame_returns_to_rsp", qword [.after], rax
    EQUALS "frame_cs", qword [.frame + 8], KCODE64
    ; From CPL 3: RSP0, SS becomes null.
    BEGIN
    USER
    int 0x31
    RUNS "frame_user"
    EQUALS "frame_user_stack", qword [.seen], STACKI - 40
    EQUALS "frame_user_ss", qword [.frame + 32], UDATA
    movzx eax, word [.ss]
    EQUALS "frame_user_ss_is_null_inside", rax, 0
    ; An IST stack also without a change of level.
    mov byte [idt + 0x31 * 16 + 4], 2
    mov qword [tss + 44], 0x9a008
    BEGIN
    int 0x31
    RUNS "frame_ist"
    EQUALS "frame_ist_stack", qword [.seen], 0x9a000 - 40
    mov byte [idt + 0x31 * 16 + 4], 0
    ; Gates that are not for long mode.
    mov byte [idt + 0x32 * 16 + 5], 0x85
    BEGIN
AT  int 0x32
    FAULTS "task_gate", X_GP, 0x32 * 8 + 2
    mov byte [idt + 0x32 * 16 + 5], 0x86
    BEGIN
AT  int 0x32
    FAULTS "gate_16_bit", X_GP, 0x32 * 8 + 2
    mov byte [idt + 0x32 * 16 + 5], 0x8e
    mov word [idt + 0x32 * 16 + 2], KCODE       ; not 64-bit code
    BEGIN
AT  int 0x32
    FAULTS "gate_to_32_bit_code", X_GP, KCODE
    mov word [idt + 0x32 * 16 + 2], KCODE64
    mov dword [idt + 0x32 * 16 + 8], 0x00008000 ; a non-canonical offset
    BEGIN
AT  int 0x32
    FAULTS "gate_noncanonical", X_GP, 0
    mov dword [idt + 0x32 * 16 + 8], 0
    ; The IDT's limit counts 16 bytes for each.
    mov word [idt_ptr], 0x3f * 16 + 14
    lidt [idt_ptr]
    BEGIN
AT  int 0x3f
    FAULTS "idt_limit", X_GP, 0x3f * 8 + 2
    mov word [idt_ptr], 64 * 16 - 1
    lidt [idt_ptr]
    ; IRETQ checks.
    BEGIN
    mov rax, 0x0000800000000000
    push KDATA
    push rsp
    pushfq
    push KCODE64
    push rax
AT  iretq
    FAULTS "iret_noncanonical", X_GP, 0
    BEGIN
    push KDATA
    push rsp
    pushfq
    push UDATA
    push .next
AT  iretq
    FAULTS "iret_to_data", X_GP, UDATA & ~3
    BEGIN
    push 0
    push STACK3
    pushfq
    push UCODE64
    push .next
AT  iretq
    FAULTS "iret_null_ss_cpl3", X_GP, 0
    BEGIN
    mov rax, rsp
    push 0                                      ; a null SS is fine for 64-bit CPL 0
    push rax
    pushfq
    push KCODE64
    push .next
    iretq
.next:
    mov [.ss], ss
    mov eax, KDATA
    mov ss, eax
    RUNS "iret_null_ss_cpl0"
    movzx eax, word [.ss]
    EQUALS "iret_null_ss_value", rax, 0
    ret
section .data
align 8
.rsp: dq 0
.after: dq 0
.seen: dq 0
.frame: times 5 dq 0
.ss: dq 0
section .text
handler31:
    mov [frames.seen], rsp
    mov [frames.ss], ss
    push rax
%assign k 0
%rep 5
    mov rax, [rsp + 8 + k * 8]
    mov [frames.frame + k * 8], rax
%assign k k + 1
%endrep
    pop rax
    iretq

; --- What 64-bit mode has not -------------------------------------------------------------------
%macro GONE 2+
    BEGIN
AT  %2
    FAULTS %1, X_UD
%endmacro
gone:
    GONE "no_push_es", db 0x06
    GONE "no_pop_es", db 0x07
    GONE "no_push_cs", db 0x0e
    GONE "no_push_ss", db 0x16
    GONE "no_pop_ds", db 0x1f
    GONE "no_daa", db 0x27
    GONE "no_aaa", db 0x37
    GONE "no_pusha", db 0x60
    GONE "no_popa", db 0x61
    GONE "no_bound", db 0x62, 0x00
    GONE "no_82", db 0x82, 0xc0, 0x00
    GONE "no_call_far", db 0x9a, 0, 0, 0, 0, 8, 0
    GONE "no_les", db 0xc4, 0x00, 0, 0, 0
    GONE "no_into", db 0xce
    GONE "no_aam", db 0xd4, 0x0a
    GONE "no_salc", db 0xd6
    GONE "no_jmp_far", db 0xea, 0, 0, 0, 0, 8, 0
    BEGIN
    mov eax, 0x11223344
    db 0x48, 0x63, 0xc8         ; MOVSXD in place of ARPL
    RUNS "movsxd_for_arpl"
    ret

; --- Segments -----------------------------------------------------------------------------------
segments:
    ; Limits and types of data segments are not looked at, nor the bases of DS, ES and SS.
    DESC TEST1, 0x5000000, 0, 0x91, 4
    BEGIN
    mov eax, TEST1
    mov es, eax
    mov rbx, PAGE0
    db 0x26                     ; ES:
    mov [rbx], eax
    db 0x26
    mov rcx, [rbx]
    RUNS "data_segment_ignored"
    ; Null selectors load, SS too where RPL = CPL < 3.
    BEGIN
    xor eax, eax
    mov ss, eax
    push rax
    pop rax
    mov ds, eax
    mov rbx, PAGE0
    mov [rbx], eax
    mov eax, UDATA
    mov ds, eax
    mov eax, KDATA
    mov ss, eax
    RUNS "null_ss_cpl0"
    BEGIN
    mov eax, 1
AT  mov ss, eax
    FAULTS "null_ss_wrong_rpl", X_GP, 0
    BEGIN
    USER
    mov eax, 3
AT  mov ss, eax
    FAULTS "null_ss_cpl3", X_GP, 0
    ; Still checked: presence, type and privilege on the load.
    DESC TEST1, 0, 0, 0x11, 4
    BEGIN
    mov eax, TEST1
AT  mov es, eax
    FAULTS "load_absent", X_NP, TEST1
    BEGIN
    mov eax, KCODE64
AT  mov ss, eax
    FAULTS "ss_code", X_GP, KCODE64
    ; LDT and TSS descriptors have 16 bytes.
    mov dword [gdt + TEST1 + 8], 0xffff8000
    mov dword [gdt + TEST1 + 12], 0
    DESC TEST1, 0x300000, 15, 0x82, 0
    BEGIN
    mov eax, TEST1
    lldt ax
    RUNS "lldt_upper_half_base"
    BEGIN
    mov eax, 0x0c
AT  mov gs, eax
    FAULTS "ldt_in_the_upper_half", X_PF, 0
    mov rdx, 0xffff800000300008
    EQUALS "ldt_address", qword [got_rcr2], rdx
    mov dword [gdt + TEST1 + 12], 0x1f00        ; the second type must be 0
    BEGIN
    mov eax, TEST1
AT  lldt ax
    FAULTS "lldt_upper_type", X_GP, TEST1
    mov dword [gdt + TEST1 + 12], 0
    mov dword [gdt + TEST1 + 8], 0x8000
    BEGIN
    mov eax, TEST1
AT  lldt ax
    FAULTS "lldt_noncanonical", X_GP, TEST1
    mov dword [gdt + TEST1 + 8], 0
    xor eax, eax
    lldt ax
    BEGIN
    mov eax, TSSSEL
AT  ltr ax
    FAULTS "ltr_busy", X_GP, TSSSEL
    ret

; --- FS and GS bases ----------------------------------------------------------------------------
bases:
    WRMSR64 FSBASE, PAGE0
    mov rbx, PAGE0
    mov qword [rbx + 8], 0x1234
    mov rax, [fs:8]
    EQUALS "fs_base", rax, 0x1234
    WRMSR64 GSBASE, PAGE0 - 0x1000
    WRMSR64 KGSBASE, PAGE0 + 0x1000
    mov rax, [gs:0x1008]
    EQUALS "gs_base", rax, 0x1234
    swapgs
    RDMSR64 GSBASE
    mov ebx, PAGE0 + 0x1000
    EQUALS "swapgs_base", rax, rbx
    RDMSR64 KGSBASE
    mov ebx, PAGE0 - 0x1000
    EQUALS "swapgs_kernel_base", rax, rbx
    mov rax, [gs:-0xff8]
    EQUALS "swapgs_used", rax, 0x1234
    BEGIN
    USER
AT  swapgs
    FAULTS "swapgs_user", X_GP, 0
    ; Loading a selector replaces the base by the descriptor's 32 bits.
    mov eax, UDATA
    mov gs, eax
    RDMSR64 GSBASE
    EQUALS "mov_gs_sets_base", rax, 0
    BEGIN
    mov ecx, FSBASE
    mov edx, 0x8000
    xor eax, eax
AT  wrmsr
    FAULTS "fs_base_noncanonical", X_GP, 0
    BEGIN
    mov ecx, LSTAR
    mov edx, 0x8000
    xor eax, eax
AT  wrmsr
    FAULTS "lstar_noncanonical", X_GP, 0
    BEGIN
    mov ecx, EFER
    mov edx, 0
    mov eax, 0x80000901
AT  wrmsr
    FAULTS "efer_reserved", X_GP, 0
    BEGIN
    USER
AT  rdmsr
    FAULTS "rdmsr_user", X_GP, 0
    ; Wrapping addresses with a base.
    WRMSR64 FSBASE, 0x7ffffffff000
    BEGIN
AT  mov al, [fs:0x1000]
    FAULTS "fs_base_leads_out", X_GP, 0
    WRMSR64 FSBASE, 0
    mov eax, UDATA
    mov fs, eax
    ret

; --- SYSCALL and SYSENTER -----------------------------------------------------------------------
syscalls:
    ; SYSRET's user selectors are STAR[63:48] + 16 and + 8; SYSCALL's the plain and + 8.
    DESC TEST3, 0, 0xfffff, 0xf3, 0xc           ; data, DPL 3
    DESC TEST4, 0, 0xfffff, 0xfb, 0xa           ; 64-bit code, DPL 3
    WRMSR64 STAR, ((TEST2 + 3) << 48) | (KDATA << 32)
    WRMSR64 LSTAR, entry
    WRMSR64 FMASK, 0x40700
    BEGIN
    push rsp
    pop qword [.rsp]
    push UDATA
    push STACK3
    push 0x202 | 0x4000 | 1                     ; IF, NT, CF
    push UCODE64
    push .user + UOFF
    iretq
.user:
    mov r11, 0
    syscall
.back:
    mov [UOFF + .rcx], rcx                      ; through the user's alias
    mov [UOFF + .r11], r11
    mov [UOFF + .cs], cs
    mov [UOFF + .ss], ss
    pushfq
    pop qword [UOFF + .flags]
    int URET
    FAULTS "syscall", URET
    EQUALS "syscall_rcx", qword [.rcx], .back + UOFF
    EQUALS "syscall_r11", qword [.r11], 0x4203
    EQUALS "syscall_cs", qword [entry_cs], KDATA & ~3
    EQUALS "syscall_ss", qword [entry_ss], KDATA + 8
    EQUALS "syscall_flags", qword [entry_flags], 0x4003
    movzx eax, word [.cs]
    EQUALS "sysret_cs", rax, TEST4 + 3
    movzx eax, word [.ss]
    EQUALS "sysret_ss", rax, TEST3 + 3
    EQUALS "sysret_flags", qword [.flags], 0x4203
    pushfq
    and dword [rsp], ~0x4000
    popfq
    ; SYSCALL without EFER.SCE.
    RDMSR64 EFER
    and eax, ~1
    wrmsr
    BEGIN
    USER
AT  syscall
    FAULTS "syscall_without_sce", X_UD
    BEGIN
AT  o64 sysret
    FAULTS "sysret_without_sce", X_UD
    mov ecx, EFER
    rdmsr
    or eax, 1
    wrmsr
    BEGIN
    USER
AT  o64 sysret
    FAULTS "sysret_user", X_GP, 0
    BEGIN
    mov rcx, 0x0000800000000000
    mov r11, 2
AT  o64 sysret
    FAULTS "sysret_noncanonical", X_GP, 0
    ; SYSENTER and SYSEXIT in 64-bit mode.
    WRMSR64 0x174, 0
    BEGIN
    USER
AT  sysenter
    FAULTS "sysenter_null", X_GP, 0
    BEGIN
AT  o64 sysexit
    FAULTS "sysexit_null", X_GP, 0
    ret
section .data
align 8
.rsp: dq 0
.rcx: dq 0
.r11: dq 0
.cs: dq 0
.ss: dq 0
.flags: dq 0
entry_cs: dq 0
entry_ss: dq 0
entry_flags: dq 0
section .text
entry:
    mov [entry_cs], cs
    mov [entry_ss], ss
    mov [keep_rsp], rsp
    mov rsp, STACKI
    pushfq
    pop qword [entry_flags]
    mov rsp, [keep_rsp]
    o64 sysret
section .data
keep_rsp: dq 0
section .text

; --- Compatibility mode -------------------------------------------------------------------------
compat:
    BEGIN
    push UDATA
    push STACK3
    pushfq
    push UCODE
    push .user + UOFF
    iretq
bits 32
.user:
    mov eax, 0xffffffff
    inc eax                     ; 40: INC here, a prefix in 64-bit code
    mov ebx, esp
    push eax
    pop ecx
    push es
    pop es
    mov [UOFF + .ebx], ebx
    mov [UOFF + .cs], cs
    int URET
bits 64
    FAULTS "compat_user", URET
    EQUALS "compat_esp", qword [.ebx], STACK3
    movzx eax, word [.cs]
    EQUALS "compat_cs", rax, UCODE
    ; Limits hold there.
    DESC TEST1, UOFF, 0xff, 0xf3, 4
    BEGIN
    push UDATA
    push STACK3
    pushfq
    push UCODE
    push .limit + UOFF
    iretq
bits 32
.limit:
    mov eax, TEST1 + 3
    mov es, ax
    mov eax, [es:0x100]
bits 64
    FAULTS "compat_limit", X_GP, 0
    mov eax, [got_cs]
    EQUALS "compat_limit_cs", rax, UCODE
    ; Faults from there come with a 64-bit frame.
    BEGIN
    push UDATA
    push STACK3
    pushfq
    push UCODE
    push .fault + UOFF
    iretq
bits 32
.fault:
    mov eax, [0x100000]
bits 64
    FAULTS "compat_page_fault", X_PF, EP | EU, 0x100000
    EQUALS "compat_page_fault_rip", qword [got_rip], .fault + UOFF
    ; SYSCALL from there is the vendor's business; SYSRET to there is not.
    WRMSR64 STAR, ((TEST2 + 3) << 48) | (KDATA << 32)
    DESC TEST2, 0, 0xfffff, 0xfb, 0xc           ; 32-bit code at STAR[63:48]
    BEGIN
    mov ecx, .ret32 + UOFF
    mov r11, 2
    mov rsp, STACK3
    sysret
bits 32
.ret32:
    inc eax
    mov [UOFF + .cs], cs
    int URET
bits 64
    FAULTS "sysret_32", URET
    movzx eax, word [.cs]
    EQUALS "sysret_32_cs", rax, TEST2 + 3
    ret
section .data
align 8
.ebx: dq 0
.cs: dq 0
section .text

; --- Far transfers ------------------------------------------------------------------------------
transfers:
    ; A call gate of 16 bytes: SS becomes null, nothing is copied, SS:RSP are pushed.
    mov rax, target
    mov [gdt + TEST1], ax
    mov word [gdt + TEST1 + 2], KCODE64
    mov word [gdt + TEST1 + 4], 0xec00
    shr rax, 16
    mov [gdt + TEST1 + 6], ax
    shr rax, 16
    mov [gdt + TEST1 + 8], eax
    mov dword [gdt + TEST1 + 12], 0
    BEGIN
    USER
    call far dword [UOFF + .gate]
.back:
    mov [UOFF + .rsp], rsp
    RUNS "call_gate"
    EQUALS "call_gate_rsp", qword [.seen], STACKI - 32
    EQUALS "call_gate_return", qword [.frame], .back + UOFF
    EQUALS "call_gate_cs", qword [.frame + 8], UCODE64
    EQUALS "call_gate_old_rsp", qword [.frame + 16], STACK3
    EQUALS "call_gate_old_ss", qword [.frame + 24], UDATA
    movzx eax, word [.ss]
    EQUALS "call_gate_ss", rax, 0
    EQUALS "retfq_rsp", qword [.rsp], STACK3
    mov word [gdt + TEST1 + 2], KCODE           ; must be 64-bit code
    BEGIN
    USER
AT  call far dword [UOFF + .gate]
    FAULTS "call_gate_to_32_bit", X_GP, KCODE
    mov word [gdt + TEST1 + 2], KCODE64
    mov dword [gdt + TEST1 + 8], 0x8000
    BEGIN
    USER
AT  call far dword [UOFF + .gate]
    FAULTS "call_gate_noncanonical", X_GP, 0
    mov dword [gdt + TEST1 + 8], 0
    mov dword [gdt + TEST1 + 12], 0x0100        ; type bits of the upper half
    BEGIN
    USER
AT  call far dword [UOFF + .gate]
    FAULTS "call_gate_upper_type", X_GP, TEST1
    ; Code with L and D both set; a jump to a TSS.
    DESC TEST1, 0, 0xfffff, 0x9b, 0xe
    BEGIN
AT  jmp far dword [.ld]
    FAULTS "code_l_and_d", X_GP, TEST1
    BEGIN
AT  jmp far dword [.tss]
    FAULTS "jump_to_tss", X_GP, TSSSEL
    ; A far return with 64-bit operands, to compatibility mode and back.
    BEGIN
    push KCODE
    push .in32
    o64 retf
bits 32
.in32:
    mov eax, 0x77777777
    inc eax
    jmp KCODE64:.in64
bits 64
.in64:
    mov [.value], eax
    RUNS "retfq_to_32_and_back"
    mov eax, [.value]
    EQUALS "retfq_to_32_ran", rax, 0x77777778
    ret
section .data
align 8
.gate: dd 0x12345678
    dw TEST1 + 3, 0
.ld: dd 0
    dw TEST1, 0
.tss: dd 0
    dw TSSSEL, 0
.seen: dq 0
.frame: times 4 dq 0
.ss: dq 0
.rsp: dq 0
.value: dq 0
section .text
target:
    mov [transfers.seen], rsp
    mov [transfers.ss], ss
%assign k 0
%rep 4
    mov rax, [rsp + k * 8]
    mov [transfers.frame + k * 8], rax
%assign k k + 1
%endrep
    o64 retf

; --- Refused switches ---------------------------------------------------------------------------
switches:
    BEGIN
    mov rax, cr4
    and eax, ~0x20
AT  mov cr4, rax
    FAULTS "pae_off", X_GP, 0
    BEGIN
    mov ecx, EFER
    rdmsr
    and eax, ~0x100
AT  wrmsr
    FAULTS "lme_off_while_paging", X_GP, 0
    BEGIN
    mov rax, cr0
    and eax, ~1
AT  mov cr0, rax
    FAULTS "pe_off_while_paging", X_GP, 0
    BEGIN
    mov rax, cr0
    mov rcx, 1 << 32
    or rax, rcx
AT  mov cr0, rax
    FAULTS "cr0_upper_half", X_GP, 0
    BEGIN
    mov rax, cr0
    and eax, ~0x40000000
    or eax, 0x20000000          ; NW without CD
AT  mov cr0, rax
    FAULTS "nw_without_cd", X_GP, 0
    BEGIN
    mov rax, cr4
    bts rax, 31
AT  mov cr4, rax
    FAULTS "cr4_reserved", X_GP, 0
    BEGIN
    mov rax, 1 << 62
    or rax, PML4
AT  mov cr3, rax
    FAULTS "cr3_reserved", X_GP, 0
    BEGIN
    mov rax, 1 << 32
AT  mov dr7, rax
    FAULTS "dr7_upper_half", X_GP, 0
    BEGIN
    mov eax, 16
AT  mov cr8, rax
    FAULTS "cr8_reserved", X_GP, 0
    BEGIN
AT  db 0x0f, 0x22, 0xc8         ; MOV CR1
    FAULTS "cr1", X_UD
    BEGIN
AT  db 0x0f, 0x22, 0xe8         ; MOV CR5
    FAULTS "cr5", X_UD
    ; Paging off from compatibility mode, and on again.
    BEGIN
    mov dword [far_ptr], .leave
    jmp far dword [far_ptr]
bits 32
.leave:
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    mov ecx, EFER
    rdmsr
    mov [.efer], eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp KCODE64:.again
bits 64
.again:
    RUNS "paging_off_and_on"
    mov eax, [.efer]
    and eax, 0x500
    EQUALS "paging_off_clears_lma", rax, 0x100
    mov ecx, EFER
    rdmsr
    and eax, 0x500
    EQUALS "paging_on_sets_lma", rax, 0x500
    ret
section .data
align 8
.efer: dq 0
section .text
