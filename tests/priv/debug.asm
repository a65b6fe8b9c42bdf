; Debug exceptions: single-step and what holds it back, instruction breakpoints and RF, data and I/O
; breakpoints, DR6 and DR7, general detect, aliases DR4/DR5. SDM 3B 17.2 and 17.3; SDM 3A 6.8.3.
%include "lib.inc"

BUF     equ 0x300000

%macro CLEAN 0                  ; DR6 as after reset, DR7 off
    mov eax, 0xffff0ff0
    mov dr6, eax
    mov eax, 0x400
    mov dr7, eax
%endmacro
%macro TF_ON 0
    pushfd
    or dword [esp], 0x100
    popfd
%endmacro
; EQUALS on DR6's status bits; DR7 goes off.
%macro DR6_IS 2
    mov eax, dr6
    mov [rec_dr6], eax
    mov eax, [rec_dr6]
    and eax, 0xe00f
    EQUALS %1, eax, %2
    CLEAN
%endmacro

section .data
align 4
rec_dr6: dd 0
steps: dd 0
ips: times 16 dd 0
section .text

; A hook that lets the program go on, noting each #DB's address.
count_hook:
    mov eax, [steps]
    cmp eax, 16
    jae .full
    mov edx, [ebp + 40]
    mov [ips + eax * 4], edx
.full:
    inc dword [steps]
    ret
; Go on past an instruction breakpoint with RF.
rf_hook:
    call count_hook
    mov eax, [ebp + 48]
    mov [rec_dr6], eax          ; the pushed flags
    or dword [ebp + 48], 0x10000
    ret
%macro HOOK 1
    mov dword [steps], 0
    mov dword [hook], %1
%endmacro

main:
    CLEAN
    call step
    call branch_step
    call code
    call data
    call ports
    call registers
    ret

; --- Single-step --------------------------------------------------------------------------------
step:
    BEGIN
    TF_ON
    nop                         ; POPF itself does not trap
.a:
    nop
    FAULTS "step", X_DB, 0
    EQUALS "step_is_a_trap", dword [got_ip], .a
    mov eax, [got_flags]
    and eax, 0x100
    EQUALS "step_pushes_tf", eax, 0x100
    DR6_IS "step_dr6", 0x4000

    HOOK count_hook
    BEGIN
    TF_ON
.s0:
    nop
.s1:
    mov eax, ss
.s2:
    mov ss, ax                  ; held back for one instruction
.s3:
    nop
.s4:
    pushfd
    and dword [esp], ~0x100
.s5:
    popfd                       ; clears TF, and traps once more
.s6:
    FAULTS "step_many", X_DB, 0
    mov dword [hook], 0
    EQUALS "step_1", dword [ips], .s1
    EQUALS "step_2", dword [ips + 4], .s2
    EQUALS "step_after_mov_ss", dword [ips + 8], .s4
    EQUALS "step_popf", dword [ips + 20], .s6
    EQUALS "step_count", dword [steps], 6
    CLEAN

    ; TF is clear in a handler, and INT n does not trap behind itself.
    HOOK count_hook
    BEGIN
    TF_ON
    int 0x32
.i1:
    nop
.i2:
    pushfd
    and dword [esp], ~0x100
    popfd
    FAULTS "step_int", X_DB, 0
    mov dword [hook], 0
    EQUALS "step_int_first", dword [ips], .i1     ; the hook saw INT 32H itself
    EQUALS "step_int_next", dword [ips + 4], .i2
    CLEAN

    ; A REP traps after each iteration.
    HOOK count_hook
    mov esi, BUF
    mov edi, BUF + 0x100
    mov ecx, 3
    BEGIN
    TF_ON
.r:
    rep movsb
.r2:
    pushfd
    and dword [esp], ~0x100
    popfd
    FAULTS "step_rep", X_DB, 0
    mov dword [hook], 0
    EQUALS "step_rep_1", dword [ips], .r
    EQUALS "step_rep_2", dword [ips + 4], .r
    EQUALS "step_rep_3", dword [ips + 8], .r2
    EQUALS "step_rep_ecx", ecx, 0
    CLEAN

    ; A faulting instruction does not trap.
    BEGIN
    TF_ON
AT  ud2
    FAULTS "step_fault", X_UD, 0
    DR6_IS "step_fault_dr6", 0
    ret

; DEBUGCTL.BTF: only a branch that is taken traps; the trap clears BTF.
branch_step:
    mov ecx, 0x1d9
    xor edx, edx
    mov eax, 2
    wrmsr
    xor ebx, ebx
    BEGIN
    TF_ON
    nop
    test ebx, ebx
    jnz .far
    inc ebx
    jmp .far
    nop
.far:
    nop
    FAULTS "branch_step", X_DB, 0
    EQUALS "branch_step_ip", dword [got_ip], .far
    EQUALS "branch_step_ran", ebx, 1
    DR6_IS "branch_step_dr6", 0x4000
    mov ecx, 0x1d9
    rdmsr
    EQUALS "branch_step_clears_btf", eax, 0
    ret

; --- Instruction breakpoints --------------------------------------------------------------------
code:
    mov eax, .b
    mov dr0, eax
    mov eax, 0x402              ; G0, execute
    BEGIN
    mov dr7, eax
    nop
AT  nop
.b equ %$at
    FAULTS "code", X_DB, 0
    DR6_IS "code_dr6", 1

    mov eax, .c
    mov dr1, eax
    HOOK rf_hook
    mov eax, 0x404              ; L1
    BEGIN
    mov dr7, eax
    xor ecx, ecx
.c:
    inc ecx
    FAULTS "code_rf", X_DB, 0
    mov dword [hook], 0
    EQUALS "code_rf_once", dword [steps], 1
    EQUALS "code_rf_ran", ecx, 1
    EQUALS "code_is_a_fault", dword [ips], .c
    mov eax, [rec_dr6]
    and eax, 0x10000
    EQUALS "code_rf_pushed_clear", eax, 0
    CLEAN

    ; RF holds for one instruction: a loop meets the breakpoint again.
    mov eax, .l
    mov dr1, eax
    HOOK rf_hook
    mov ecx, 3
    mov eax, 0x404
    BEGIN
    mov dr7, eax
.l:
    loop .l
    FAULTS "code_loop", X_DB, 0
    mov dword [hook], 0
    EQUALS "code_loop_each_time", dword [steps], 3
    CLEAN

    ; Behind MOV SS no instruction breakpoint.
    mov eax, .m
    mov dr0, eax
    mov eax, 0x402
    BEGIN
    mov dr7, eax
    mov edx, ss
    mov ss, dx
.m:
    nop
    RUNS "code_behind_mov_ss"
    CLEAN

    ; Only the address of the first byte counts; a prefix is the first byte.
    mov eax, .p + 1
    mov dr0, eax
    mov eax, 0x402
    BEGIN
    mov dr7, eax
.p:
    o16 nop
    RUNS "code_second_byte"
    CLEAN
    ret

; --- Data breakpoints ---------------------------------------------------------------------------
data:
    mov eax, BUF + 4
    mov dr2, eax
    mov eax, 0x0d000420         ; G2, write, 4 bytes
    BEGIN
    mov dr7, eax
    mov ebx, [BUF + 4]          ; reads do not count
    mov [BUF + 3], bl           ; nor the bytes beside
    mov [BUF + 8], ebx
    mov [BUF + 7], bl
.a:
    nop
    FAULTS "write", X_DB, 0
    EQUALS "write_is_a_trap", dword [got_ip], .a
    DR6_IS "write_dr6", 4

    mov eax, 0x0f000420         ; reads and writes
    BEGIN
    mov dr7, eax
    mov ebx, [BUF + 1]          ; overlaps by one byte
.b:
    nop
    FAULTS "read", X_DB, 0
    EQUALS "read_is_a_trap", dword [got_ip], .b
    DR6_IS "read_dr6", 4

    mov eax, 0x0f000420
    HOOK count_hook
    mov esi, BUF
    mov edi, BUF + 0x100
    mov ecx, 8
    BEGIN
    mov dr7, eax
.r:
    rep movsb
.r2:
    nop
    FAULTS "rep_data", X_DB, 0
    mov dword [hook], 0
    EQUALS "rep_data_each_byte", dword [steps], 4
    EQUALS "rep_data_ip", dword [ips], .r
    EQUALS "rep_data_last_ip", dword [ips + 12], .r2
    CLEAN

    mov eax, 0x0d000420
    BEGIN
    mov dr7, eax
    push dword 0
    pop dword [BUF + 4]
.c:
    nop
    FAULTS "pop_memory", X_DB, 0
    EQUALS "pop_memory_ip", dword [got_ip], .c
    CLEAN

    mov eax, 0x0d000420
    mov edi, BUF + 4
    BEGIN
    mov dr7, eax
AT  mov ss, [edi]               ; write breakpoint: a load does not meet it
    FAULTS "write_only", X_GP, ANY
    CLEAN

    ; Met by MOV SS: comes one instruction later.
    mov [BUF + 4], ss
    mov eax, 0x0f000420
    BEGIN
    mov dr7, eax
    mov ss, [BUF + 4]
    nop
.d:
    nop
    FAULTS "data_mov_ss", X_DB, 0
    EQUALS "data_mov_ss_ip", dword [got_ip], .d
    DR6_IS "data_mov_ss_dr6", 4
    CLEAN
    ; INT1 in that place: one exception for both.
    mov [BUF + 4], ss
    mov eax, 0x0f000420
    mov dword [got_count], 0
    BEGIN
    mov dr7, eax
    mov ss, [BUF + 4]
    db 0xf1
.e:
    nop
    FAULTS "data_mov_ss_int1", X_DB, 0
    EQUALS "data_mov_ss_int1_ip", dword [got_ip], .e
    EQUALS "data_mov_ss_int1_count", dword [got_count], 1
    DR6_IS "data_mov_ss_int1_dr6", 4
    ret

; --- I/O breakpoints ----------------------------------------------------------------------------
ports:
    mov eax, cr4
    or eax, 8                   ; DE
    mov cr4, eax
    mov eax, 0x80
    mov dr3, eax
    mov eax, 0x20000480         ; G3, I/O, 1 byte
    BEGIN
    mov dr7, eax
    out 0x81, al
    out 0x80, al
.a:
    nop
    FAULTS "io", X_DB, 0
    EQUALS "io_ip", dword [got_ip], .a
    DR6_IS "io_dr6", 8
    mov eax, 0x20000480
    BEGIN
    mov dr7, eax
    mov dx, 0x7f
    in ax, dx                   ; overlaps
    nop
    FAULTS "io_overlap", X_DB, 0
    CLEAN
    BEGIN
AT  mov eax, dr4
    FAULTS "dr4_with_de", X_UD, 0
    mov eax, cr4
    and eax, ~8
    mov cr4, eax
    mov eax, 0x80
    mov dr3, eax
    mov eax, 0x20000480
    BEGIN
    mov dr7, eax
    out 0x80, al
    RUNS "io_without_de"
    CLEAN
    ret

; --- The registers ------------------------------------------------------------------------------
registers:
    mov eax, 0
    mov dr6, eax
    mov eax, dr6
    EQUALS "dr6_fixed_ones", eax, 0xffff0ff0
    mov eax, 0xffffffff
    mov dr6, eax
    mov eax, dr6
    EQUALS "dr6_fixed_zeros", eax, 0xffffefff
    mov eax, 0
    mov dr7, eax
    mov eax, dr7
    EQUALS "dr7_fixed_one", eax, 0x400
    mov eax, dr5
    EQUALS "dr5_is_dr7", eax, 0x400
    mov eax, 0x12345678
    mov dr2, eax
    mov ebx, dr2
    EQUALS "dr2", ebx, 0x12345678
    CLEAN
    BEGIN
    USER
AT  mov eax, dr0
    FAULTS "user_dr0", X_GP, 0
    mov eax, 0x2400             ; GD
    BEGIN
    mov dr7, eax
AT  mov ebx, dr0
    FAULTS "general_detect", X_DB, 0
    mov eax, dr7
    EQUALS "general_detect_clears_gd", eax, 0x400
    DR6_IS "general_detect_dr6", 0x2000
    ret
