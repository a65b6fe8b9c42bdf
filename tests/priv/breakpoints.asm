; Debug exceptions, in detail: single-step, breakpoints on instructions, data and ports, general
; detect, DR6, RF, the shadow of MOV SS, INT1. SDM 3B 17.2, 17.3.
%include "lib.inc"

main:
    mov dword [hook], trap
    call steps
    call shadows
    call instruction_breaks
    call data_breaks
    call port_breaks
    call detect
    mov dword [hook], 0
    ret

; Every #DB is logged: EIP and DR6 in [log], how many in [n]. TF goes off in the frame when the
; instruction at [stop] is reached. DR6 is cleared. Other exceptions end the case.
trap:
    cmp dword [got_vec], X_DB
    jne .other
    mov ecx, [n]
    cmp ecx, 32
    jae .full
    mov eax, [got_ip]
    mov [log + ecx * 8], eax
    mov eax, dr6
    mov [log + ecx * 8 + 4], eax
.full:
    inc dword [n]
    mov eax, 0xffff0ff0
    mov dr6, eax
    mov eax, [stop]
    cmp eax, [got_ip]
    jne .more
    and dword [ebp + 48], ~0x100
.more:
    test dword [set_rf], 1
    jz .ret
    or dword [ebp + 48], 0x10000
.ret:
    mov dword [got_vec], NONE           ; nothing that would end the case
    ret
.other:
    add esp, 4                      ; as if there were no hook
    jmp caught.end
section .data
align 4
n: dd 0
stop: dd 0
set_rf: dd 0
log: times 64 dd 0
mem: times 16 dd 0
section .text

BS      equ 0xffff4ff0
%define B(n) (0xffff0ff0 | 1 << (n))

%macro START 0
    mov dword [n], 0
    push edi
    mov edi, log
    push ecx
    push eax
    mov ecx, 64
    xor eax, eax
    rep stosd
    pop eax
    pop ecx
    pop edi
    BEGIN
%endmacro
%macro TF_ON 0
    pushfd
    or dword [esp], 0x100
    popfd
%endmacro
; LOGGED name, index, EIP, DR6
%macro LOGGED 4
    EQUALS %1, dword [log + (%2) * 8], %3
    EQUALS %1, dword [log + (%2) * 8 + 4], %4
%endmacro

steps:
    mov dword [stop], .c
    START
    TF_ON
.x: nop                             ; the first trap comes behind the one after POPF
.a: mov eax, 1
.b: add eax, 1
.c: nop
    RUNS "step"
    EQUALS "step_count", dword [n], 3
    LOGGED "step_first", 0, .a, BS
    LOGGED "step_second", 1, .b, BS
    LOGGED "step_third", 2, .c, BS
    ; REP: a trap after each iteration.
    mov dword [stop], .e
    START
    mov edi, mem
    mov ecx, 3
    TF_ON
.d: rep stosb
.e: nop
    RUNS "step_rep"
    EQUALS "step_rep_count", dword [n], 3
    LOGGED "step_rep_first", 0, .d, BS
    LOGGED "step_rep_second", 1, .d, BS
    LOGGED "step_rep_last", 2, .e, BS
    ; INT n clears TF for the handler; the trap comes after the IRET.
    mov eax, .handler
    mov [idt + 0x31 * 8], ax
    shr eax, 16
    mov [idt + 0x31 * 8 + 6], ax
    mov dword [stop], .g
    START
    TF_ON
.f: int 0x31
    nop
.g: nop
    RUNS "step_int"
    EQUALS "step_int_count", dword [n], 1
    LOGGED "step_int_first", 0, .g, BS
    ; A faulting instruction does not trap.
    START
    mov dword [stop], 0
    TF_ON
AT  ud2
    FAULTS "step_fault", X_UD
    EQUALS "step_fault_no_trap", dword [n], 0
    mov eax, [got_flags]
    and eax, 0x100
    EQUALS "step_fault_pushes_tf", eax, 0x100
    ; POPF that clears TF is itself still stepped.
    START
    mov dword [stop], 0
    pushfd
    TF_ON
.h: popfd
.i: nop
    nop
    RUNS "step_popf_off"
    EQUALS "step_popf_off_count", dword [n], 1
    LOGGED "step_popf_off_last", 0, .i, BS
    ; From user code.
    mov dword [stop], .l
    START
    USER
    TF_ON
    nop
.k: nop
.l: nop
    RUNS "step_user"
    EQUALS "step_user_count", dword [n], 2
    LOGGED "step_user_first", 0, .k, BS
    ; PUSHF pushes TF as it is; a branch is a step.
    mov dword [stop], .p
    START
    TF_ON
    jmp .o
    nop
.o: jecxz .p
    nop
.p: nop
    RUNS "step_branch"
    LOGGED "step_branch_target", 0, .o, BS
    ; INT1 is a trap-like event without BS.
    mov dword [stop], 0
    START
    db 0xf1
.q: nop
    RUNS "int1"
    LOGGED "int1_trap", 0, .q, 0xffff0ff0
    ret
.handler:
    iretd

; MOV SS and POP SS hold traps back for one instruction.
shadows:
    mov dword [stop], .b
    START
    mov eax, ss
    TF_ON
    mov ss, ax
    nop
.a: nop
.b: nop
    RUNS "shadow_mov_ss"
    EQUALS "shadow_mov_ss_count", dword [n], 2
    LOGGED "shadow_mov_ss_first", 0, .a, BS
    mov dword [stop], .d
    START
    push ss
    TF_ON
    pop ss
    nop
.c: nop
.d: nop
    RUNS "shadow_pop_ss"
    LOGGED "shadow_pop_ss_first", 0, .c, BS
    ; MOV DS does not.
    mov dword [stop], .f
    START
    mov eax, ds
    TF_ON
    mov ds, ax
.e: nop
.f: nop
    RUNS "shadow_not_mov_ds"
    LOGGED "shadow_not_mov_ds_first", 0, .e, BS
    ret

%macro DR 2
    mov eax, %2
    mov %1, eax
%endmacro

instruction_breaks:
    mov dword [stop], 0
    mov dword [set_rf], 1
    DR dr0, .a
    DR dr7, 0x401                       ; L0, an instruction
    START
    xor ecx, ecx
    inc ecx
.a: inc ecx                             ; a fault before it; RF lets it go on
.b: inc ecx
    mov [mem], ecx
    RUNS "break_instruction"
    EQUALS "break_instruction_count", dword [n], 1
    LOGGED "break_instruction_log", 0, .a, B(0)
    EQUALS "break_instruction_ran", dword [mem], 3
    mov eax, [got_flags]
    and eax, 0x10000
    EQUALS "break_instruction_pushes_no_rf", eax, 0
    ; RF holds for one instruction only.
    DR dr1, .d
    DR dr0, .c
    DR dr7, 0x40a                       ; G0, G1
    START
.c: nop
.d: nop
    RUNS "break_two"
    EQUALS "break_two_count", dword [n], 2
    LOGGED "break_two_second", 1, .d, B(1)
    ; In the middle of an instruction: nothing.
    DR dr0, .e + 1
    DR dr7, 0x401
    START
.e: mov eax, 0x12345678
    RUNS "break_middle"
    EQUALS "break_middle_count", dword [n], 0
    ; Off: nothing, and the enable bits decide.
    DR dr0, .f
    DR dr7, 0x400
    START
.f: nop
    RUNS "break_off"
    EQUALS "break_off_count", dword [n], 0
    ; REP MOVSB with RF set breaks once.
    DR dr0, .g
    DR dr7, 0x401
    START
    mov esi, mem
    mov edi, mem + 8
    mov ecx, 5
.g: rep movsb
    mov [mem], ecx
    RUNS "break_rep"
    EQUALS "break_rep_count", dword [n], 1
    EQUALS "break_rep_ran", dword [mem], 0
    ; A loop breaks each time.
    DR dr0, .h
    START
    mov ecx, 4
.h: nop
    loop .h
    RUNS "break_loop"
    EQUALS "break_loop_count", dword [n], 4
    ; With TF: the step before and the break at one instruction come as one.
    mov dword [set_rf], 1
    mov dword [stop], .k
    DR dr0, .k
    START
    TF_ON
    nop
.k: nop
    RUNS "break_and_step"
    EQUALS "break_and_step_first", dword [log], .k
    mov eax, [log + 4]
    and eax, 0x4000
    EQUALS "break_and_step_bs", eax, 0x4000
    DR dr7, 0x400
    mov dword [set_rf], 0
    mov dword [stop], 0
    ret

data_breaks:
    DR dr0, mem + 4
    DR dr7, 0xd0401                     ; L0, write, 4 bytes
    START
    mov [mem + 4], eax
.a: mov eax, [mem + 4]
    mov [mem], eax
    mov [mem + 8], eax
    mov [mem + 7], al
.b: inc byte [mem + 6]
.c: mov [mem + 2], eax
.d: mov [mem + 7], eax
.e: nop
    RUNS "watch_write"
    EQUALS "watch_write_count", dword [n], 5
    LOGGED "watch_write_whole", 0, .a, B(0)
    LOGGED "watch_write_byte", 1, .b, B(0)
    LOGGED "watch_write_rmw", 2, .c, B(0)
    LOGGED "watch_write_from_below", 3, .d, B(0)
    LOGGED "watch_write_from_above", 4, .e, B(0)
    DR dr7, 0xf0401                     ; read or write
    START
    mov eax, [mem + 4]
.f: push dword [mem + 4]
.g: pop eax
    cmp byte [mem + 8], 0
    RUNS "watch_read"
    EQUALS "watch_read_count", dword [n], 2
    LOGGED "watch_read_mov", 0, .f, B(0)
    LOGGED "watch_read_push", 1, .g, B(0)
    ; One byte; the address is aligned to the length.
    DR dr0, mem + 5
    DR dr7, 0x10401
    START
    mov [mem + 4], al
    mov [mem + 6], al
    mov [mem + 4], ax
.h: nop
    RUNS "watch_byte"
    EQUALS "watch_byte_count", dword [n], 1
    LOGGED "watch_byte_log", 0, .h, B(0)
    DR dr0, mem + 7
    DR dr7, 0xd0401
    START
    mov [mem + 4], al
.i: nop
    RUNS "watch_aligned_down"
    LOGGED "watch_aligned_down_log", 0, .i, B(0)
    ; REP STOSB: after the iteration that wrote.
    DR dr0, mem + 6
    DR dr7, 0x10401
    START
    mov edi, mem
    mov ecx, 16
.j: rep stosb
.k: nop
    RUNS "watch_rep"
    EQUALS "watch_rep_count", dword [n], 1
    EQUALS "watch_rep_ip", dword [log], .j
    ; Two of them by one instruction.
    DR dr0, mem
    DR dr2, mem + 8
    DR dr7, 0x0d0d0411
    mov dword [mem + 8], 0
    fninit
    START
    mov esi, mem + 8
    mov edi, mem
    movsd
    fild qword [mem]
    fistp qword [mem + 4]
.l: nop
    RUNS "watch_two"
    EQUALS "watch_two_count", dword [n], 2
    LOGGED "watch_two_second", 1, .l, B(2)
    ; A write that faults is not reported.
    DR dr7, 0x400
    DR dr0, mb_header
    DR dr7, 0xd0401
    START
AT  mov [cs:mb_header], eax
    FAULTS "watch_fault", X_GP, 0
    EQUALS "watch_fault_count", dword [n], 0
    ; The processor's own pushes count: a call.
    DR dr7, 0x400
    lea eax, [esp - 4]
    mov dr0, eax
    START
    DR dr7, 0xd0401
    call .m
.m: pop eax
    RUNS "watch_call"
    EQUALS "watch_call_ip", dword [log], .m
    DR dr7, 0x400
    ret

; With CR4.DE breakpoints on ports, and DR4 and DR5 are gone.
port_breaks:
    mov eax, cr4
    and eax, ~8
    mov cr4, eax
    BEGIN
    mov eax, dr6
    mov ebx, eax
    mov eax, dr4
    RUNS "dr4_is_dr6"
    EQUALS "dr4_is_dr6_value", eax, ebx
    mov eax, cr4
    or eax, 8
    mov cr4, eax
    BEGIN
AT  mov eax, dr4
    FAULTS "dr4_with_de", X_UD
    BEGIN
AT  mov dr5, eax
    FAULTS "dr5_with_de", X_UD
    DR dr3, 0x80
    DR dr7, 0x20000440                  ; L3, I/O, 1 byte
    START
    in al, 0x80
.a: out 0x80, al
.b: in al, 0x81
    in ax, 0x7f
.c: nop
    RUNS "watch_port"
    EQUALS "watch_port_count", dword [n], 3
    LOGGED "watch_port_in", 0, .a, B(3)
    LOGGED "watch_port_out", 1, .b, B(3)
    LOGGED "watch_port_word", 2, .c, B(3)
    DR dr7, 0x400
    mov eax, cr4
    and eax, ~8
    mov cr4, eax
    ret

; General detect: a fault at the next access to a debug register; DR7.GD goes off for the handler.
detect:
    mov eax, 0x400
    mov dr7, eax
    START
    mov eax, 0x2400
    mov dr7, eax
    nop
.a: mov eax, dr0
    nop
    RUNS "detect"
    EQUALS "detect_count", dword [n], 1
    LOGGED "detect_log", 0, .a, 0xffff2ff0
    mov eax, dr7
    EQUALS "detect_clears_gd", eax, 0x400
    BEGIN
    USER
AT  mov eax, dr0
    FAULTS "user_dr", X_GP, 0
    BEGIN
    USER
AT  mov dr7, eax
    FAULTS "user_dr_write", X_GP, 0
    mov eax, 0
    mov dr7, eax
    mov eax, dr7
    EQUALS "dr7_bit_10", eax, 0x400
    mov eax, 0
    mov dr6, eax
    mov eax, dr6
    EQUALS "dr6_fixed_bits", eax, 0xffff0ff0
    ret
