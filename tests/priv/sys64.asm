; System calls and far returns in long mode: SYSCALL, SYSRET, SYSENTER, SYSEXIT with their checks,
; SWAPGS and the segment bases, IRET's corner cases, 64-bit call gates, stacks of the IST, what long
; mode took away, canonical checks of MSRs and tables. SDM 2; SDM 3A 5.8.7, 5.8.8, 6.14.
%define UOFF 0x40000000
%include "lib.inc"
%include "long.inc"

bits 64
%define STAR  0xc0000081
%define LSTAR 0xc0000082
%define FMASK 0xc0000084
%define FSB   0xc0000100
%define GSB   0xc0000101
%define KGSB  0xc0000102

section .data
align 8
rec: times 16 dq 0
rec_cs: dq 0
rec_ss: dq 0
rec_flags: dq 0
far64: dq 0
    dw 0
section .text

%macro WRMSR64 2                ; number, value (register RAX is lost)
    mov ecx, %1
    mov rax, %2
    mov rdx, rax
    shr rdx, 32
    wrmsr
%endmacro
%macro DESC 5
    mov dword [gdt + (%1 & ~7)], ((%3) & 0xffff) | ((%2) & 0xffff) << 16
    mov dword [gdt + (%1 & ~7) + 4], ((%2) >> 16 & 0xff) | (%4) << 8 | \
        ((%3) >> 16 & 15) << 16 | (%5) << 20 | ((%2) >> 24) << 24
%endmacro
; 64-bit call gate at TEST1/TEST2: selector, address, access byte.
%macro GATE64 3
    mov rax, %2
    mov [gdt + TEST1], ax
    mov word [gdt + TEST1 + 2], %1
    mov word [gdt + TEST1 + 4], (%3) << 8
    shr rax, 16
    mov [gdt + TEST1 + 6], ax
    shr rax, 16
    mov [gdt + TEST1 + 8], eax
    mov dword [gdt + TEST1 + 12], 0
%endmacro

; The GDT here has what SYSCALL and SYSRET want at other places: KCODE64 18H, so SS would be UDATA's
; place; STAR takes 18H for SYSCALL and 1bH (RPL 3) for SYSRET: CS 2bH, SS 23H. (They do not look at
; the descriptors.)
main64:
    call syscalls
    call sysenters
    call bases
    call irets
    call far_gates
    call removed
    ret

; --- SYSCALL, SYSRET ----------------------------------------------------------------------------
entry:
    mov [rec], rcx
    mov [rec + 8], r11
    mov [rec + 16], rsp
    mov [rec_cs], cs
    mov [rec_ss], ss
    pushfq
    pop qword [rec_flags]
    mov rsp, STACKX - 0x1000
    sti
    cli
    mov rsp, [rec + 16]
    jmp [rec + 24]
to_user:
    o64 sysret

syscalls:
    WRMSR64 STAR, 0x0023001800000000
    WRMSR64 LSTAR, entry
    WRMSR64 FMASK, 0x40500
    mov qword [rec + 24], to_user
    BEGIN
    USER
    mov rcx, -1
    push 0xcd7
    popfq
    syscall
.back:
    cld
    mov [rec + UOFF + 32], rcx
    mov [rec + UOFF + 40], cs
    mov [rec + UOFF + 48], ss
    RUNS "syscall"
    mov rax, syscalls.back + UOFF
    EQUALS "syscall_rcx", qword [rec], rax
    mov rax, [rec + 8]
    EQUALS "syscall_r11", rax, 0xcd7
    EQUALS "syscall_rsp", qword [rec + 16], STACK3
    EQUALS "syscall_cs", qword [rec_cs], 0x18
    EQUALS "syscall_ss", qword [rec_ss], 0x20
    mov rax, [rec_flags]
    EQUALS "syscall_fmask", rax, 0x8d7
    movzx eax, word [rec + 40]
    EQUALS "sysret_cs", rax, 0x33
    movzx eax, word [rec + 48]
    EQUALS "sysret_ss", rax, 0x2b
    ; 32-bit return: CS from STAR itself, RIP cut.
    mov qword [rec + 24], .narrow
    BEGIN
    USER
    syscall
    nop
    RUNS "syscall_for_compat"
    mov eax, [got_cs]
    EQUALS "sysret_32_cs", rax, 0x23
    jmp .narrow_done
.narrow:
    mov ecx, .compat + UOFF
    sysret
bits 32
.compat:
    int URET
bits 64
.narrow_done:
    ; RCX not canonical: #GP at CPL 0 before anything changed.
    mov rcx, 0x0000800000000000
    mov r11, 2
    BEGIN
AT  o64 sysret
    FAULTS "sysret_noncanonical", X_GP, 0
    movzx eax, word [got_cs]
    EQUALS "sysret_noncanonical_cpl", rax, KCODE64
    BEGIN
    USER
AT  o64 sysret
    FAULTS "sysret_user", X_GP, 0
    mov ecx, 0xc0000080
    rdmsr
    and eax, ~1
    wrmsr
    BEGIN
    USER
AT  syscall
    FAULTS "syscall_without_sce", X_UD, 0
    BEGIN
AT  o64 sysret
    FAULTS "sysret_without_sce", X_UD, 0
    mov ecx, 0xc0000080
    rdmsr
    or eax, 1
    wrmsr
    ; R11 cannot set VM or RF.
    mov qword [rec + 24], .flags
    BEGIN
    USER
    syscall
    pushfq
    pop rbx
    RUNS "sysret_flags"
    mov rax, [rec + 56]
    jmp .flags_done
.flags:
    mov r11, 0xffffffffffffffff & ~0x100 & ~0x40000 & ~0x200
    o64 sysret
.flags_done:
    mov eax, [got_flags]
    and eax, 0x3fffff
    EQUALS "sysret_flag_mask", rax, 0x3c7cd7 & ~0x40200
    push 2
    popfq
    BEGIN
    mov rax, 0x0000800000000000
    mov rdx, rax
    shr rdx, 32
    mov ecx, LSTAR
AT  wrmsr
    FAULTS "lstar_noncanonical", X_GP, 0
    ret

; --- SYSENTER, SYSEXIT --------------------------------------------------------------------------
sysenters:
    mov qword [rec + 24], .exit
    WRMSR64 0x174, 0
    BEGIN
    USER
AT  sysenter
    FAULTS "sysenter_null", X_GP, 0
    BEGIN
    mov rdx, .out
    mov rcx, rsp
AT  sysexit
.out:
    FAULTS "sysexit_null", X_GP, 0
    WRMSR64 0x174, 0x18
    WRMSR64 0x175, STACKX - 0x2000
    WRMSR64 0x176, entry
    BEGIN
    USER
    sysenter
.back:
    mov [rec + UOFF + 32], rsp
    RUNS "sysenter"
    EQUALS "sysenter_rsp", qword [rec + 16], STACKX - 0x2000
    EQUALS "sysenter_cs", qword [rec_cs], 0x18
    EQUALS "sysenter_ss", qword [rec_ss], 0x20
    EQUALS "sysexit_rsp", qword [rec + 32], STACK3 - 64
    mov eax, [got_cs]
    EQUALS "sysexit_cs", rax, 0x3b      ; 18H + 32
    BEGIN
    USER
AT  sysexit
    FAULTS "sysexit_user", X_GP, 0
    BEGIN
    mov rdx, 0x0000800000000000
    mov rcx, STACK3
AT  o64 sysexit
    FAULTS "sysexit_rip", X_GP, 0
    BEGIN
    mov rdx, .back
    mov rcx, 0xffff7fffffffffff
AT  o64 sysexit
    FAULTS "sysexit_rsp_noncanonical", X_GP, 0
    ret
.exit:
    mov rdx, .back + UOFF
    mov rcx, STACK3 - 64
    o64 sysexit

; --- Segment bases ------------------------------------------------------------------------------
bases:
    WRMSR64 GSB, qword 0x1111111111
    WRMSR64 KGSB, 0xffffa22222222222
    swapgs
    mov ecx, GSB
    rdmsr
    shl rdx, 32
    or rax, rdx
    mov rbx, 0xffffa22222222222
    EQUALS "swapgs_gs", rax, rbx
    mov ecx, KGSB
    rdmsr
    shl rdx, 32
    or rax, rdx
    mov rbx, 0x1111111111
    EQUALS "swapgs_kernel", rax, rbx
    BEGIN
    USER
AT  swapgs
    FAULTS "swapgs_user", X_GP, 0
    BEGIN
AT  rdfsbase rax
    FAULTS "rdfsbase_off", X_UD, 0
    mov rax, cr4
    or eax, 0x10000
    mov cr4, rax
    mov rax, 0x123456789a
    wrfsbase rax
    rdfsbase rbx
    EQUALS "wrfsbase", rbx, rax
    rdfsbase ecx
    mov edx, 0x3456789a
    EQUALS "rdfsbase_32", rcx, rdx
    mov rax, -1
    wrgsbase eax
    rdgsbase rbx
    mov eax, 0xffffffff
    EQUALS "wrgsbase_32", rbx, rax
    BEGIN
    mov rax, 0x0000800000000000
AT  wrfsbase rax
    FAULTS "wrfsbase_noncanonical", X_GP, 0
    BEGIN
    mov ecx, FSB
    mov edx, 0x8000
    xor eax, eax
AT  wrmsr
    FAULTS "fsbase_msr_noncanonical", X_GP, 0
    ; A null selector clears the base; the access at base + 4 GiB and more works.
    mov rax, 0xffffffff80000000
    wrfsbase rax
    mov ebx, 0x80000000
    shl rbx, 1
    mov esi, TL
    mov dword [rsi], 0xcafe
    mov ecx, [fs:rbx]
    EQUALS "fs_base_64", rcx, 0xcafe
    xor eax, eax
    mov fs, ax
    rdfsbase rbx
    EQUALS "null_clears_base", rbx, 0
    WRMSR64 GSB, 0
    WRMSR64 KGSB, 0
    ret

; --- IRET ---------------------------------------------------------------------------------------
irets:
    ; To the same level SS:RSP is popped too.
    BEGIN
    mov rbx, rsp
    push KDATA
    lea rax, [rbx - 0x100]
    push rax
    push 2
    push KCODE64
    push .same
    iretq
.same:
    sub rbx, rsp
    add rsp, rbx
    RUNS "iret_same"
    EQUALS "iret_same_rsp", rbx, 0x100
    ; SS may be null below level 3.
    BEGIN
    mov rbx, rsp
    push 0
    push rbx
    push 2
    push KCODE64
    push .null
    iretq
.null:
    mov eax, ss
    mov [rec], rax
    mov ax, KDATA
    mov ss, ax
    RUNS "iret_ss_null"
    EQUALS "iret_ss_null_value", qword [rec], 0
    BEGIN
    push 0
    push STACK3
    push 2
    push UCODE64
    push .same + UOFF
AT  iretq
    FAULTS "iret_ss_null_to_3", X_GP, 0
    BEGIN
    mov rbx, rsp
    push 0
    push rbx
    push 2
    push KCODE
    push .same
AT  iretq
    FAULTS "iret_ss_null_to_compat", X_GP, 0
    BEGIN
    mov rbx, rsp
    push KDATA
    push rbx
    push 2
    push KCODE64
    mov rax, 0x0000800000000000
    push rax
AT  iretq
    FAULTS "iret_noncanonical", X_GP, 0
    BEGIN
    mov rbx, rsp
    push KDATA
    push rbx
    push 0x4002
    popfq                       ; NT
    push 2
    push KCODE64
    push .same
AT  iretq
    FAULTS "iret_nt", X_GP, 0
    push 2
    popfq
    DESC TEST3, 0, 0xfffff, 0x9b, 0xe   ; L and D
    BEGIN
    mov rbx, rsp
    push KDATA
    push rbx
    push 2
    push TEST3
    push .same
AT  iretq
    FAULTS "iret_l_and_d", X_GP, TEST3
    BEGIN
    USER
    push KDATA
    push STACK3
    push 2
    push KCODE64
    push .same
AT  iretq
    FAULTS "iret_to_inner", X_GP, KCODE64
    ; To compatibility mode and back by INT.
    BEGIN
    push UDATA
    push STACK3
    push 2
    push UCODE
    push .compat + UOFF
    iretq
bits 32
.compat:
    mov eax, 0x12345678
    int URET
bits 64
    FAULTS "iret_to_compat", URET, 0
    mov eax, [got_cs]
    EQUALS "compat_cs", rax, UCODE
    ; A segment of level 0 is lost on the way out, but not its base: 64-bit code still uses it.
    mov ax, KDATA
    mov gs, ax
    WRMSR64 GSB, qword TL
    mov esi, TL
    mov dword [rsi + 8], 0xbead
    BEGIN
    push UDATA
    push STACK3
    push 2
    push UCODE64
    push .base + UOFF
    iretq
.base:
    mov ebx, [gs:8]
    mov ecx, gs
    int URET
    FAULTS "iret_drops_gs", URET, 0
    mov eax, [got_ebx]
    EQUALS "dropped_gs_keeps_base", rax, 0xbead
    mov eax, [got_ecx]
    EQUALS "dropped_gs_is_null", rax, 0
    WRMSR64 GSB, 0
    ; VM in the image is ignored.
    BEGIN
    mov rbx, rsp
    push KDATA
    push rbx
    push 0x20002
    push KCODE64
    push .vm
    iretq
.vm:
    pushfq
    pop rcx
    RUNS "iret_vm"
    EQUALS "iret_vm_ignored", rcx, 2
    ret

; --- 64-bit call gates --------------------------------------------------------------------------
gate_in:
    mov [rec], rsp
    mov rax, [rsp]
    mov [rec + 8], rax
    mov rax, [rsp + 8]
    mov [rec + 16], rax
    mov rax, [rsp + 16]
    mov [rec + 24], rax
    mov rax, [rsp + 24]
    mov [rec + 32], rax
    mov [rec_ss], ss
    o64 retf

far_gates:
    mov word [far64 + 4], TEST1 + 3
    GATE64 KCODE64, gate_in, 0xec
    BEGIN
    USER
    call far dword [abs far64 + UOFF]
.back:
    nop
    RUNS "gate64"
    EQUALS "gate64_rsp", qword [rec], STACKI - 32
    mov rax, .back + UOFF
    EQUALS "gate64_rip", qword [rec + 8], rax
    EQUALS "gate64_cs", qword [rec + 16], UCODE64
    EQUALS "gate64_old_rsp", qword [rec + 24], STACK3
    EQUALS "gate64_old_ss", qword [rec + 32], UDATA
    EQUALS "gate64_ss_null", qword [rec_ss], 0
    GATE64 KCODE, gate_in, 0xec
    BEGIN
    USER
AT  call far dword [abs far64 + UOFF]
    FAULTS "gate64_to_compat", X_GP, KCODE
    GATE64 KCODE64, gate_in, 0xe4
    BEGIN
    USER
AT  call far dword [abs far64 + UOFF]
    FAULTS "gate64_16bit_type", X_GP, TEST1
    GATE64 KCODE64, gate_in, 0xec
    mov dword [gdt + TEST1 + 12], 0x100
    BEGIN
    USER
AT  call far dword [abs far64 + UOFF]
    FAULTS "gate64_type_above", X_GP, TEST1
    mov dword [gdt + TEST1 + 12], 0
    mov rax, [tss + 4]
    push rax
    mov dword [tss + 8], 0x8000
    BEGIN
    USER
AT  call far dword [abs far64 + UOFF]
    FAULTS "gate64_rsp_noncanonical", X_SS, 0
    pop rax
    mov [tss + 4], rax
    mov dword [far64], 0
    mov word [far64 + 4], TSSSEL
    BEGIN
AT  jmp far dword [far64]
    FAULTS "no_tasks", X_GP, TSSSEL
    ; A 64-bit far pointer.
    mov rax, .here
    mov [far64], rax
    mov word [far64 + 8], KCODE64
    BEGIN
    jmp far qword [far64]
.here:
    RUNS "jmp_far_64"
    ret

; --- What 64-bit mode does not have -------------------------------------------------------------
removed:
    BEGIN
AT  db 0x06                     ; push es
    FAULTS "push_es", X_UD, 0
    BEGIN
AT  db 0x9a, 0, 0, 0, 0, 8, 0
    FAULTS "call_far_direct", X_UD, 0
    BEGIN
AT  db 0xce
    FAULTS "into", X_UD, 0
    BEGIN
AT  db 0x27
    FAULTS "daa", X_UD, 0
    BEGIN
AT  db 0x62, 0, 0
    FAULTS "bound", X_UD, 0
    BEGIN
AT  db 0xc5, 0x00               ; lds: here a VEX prefix
    FAULTS "lds", X_UD, 0
    BEGIN
    mov rax, cr0
    and eax, 0x7fffffff
AT  mov cr0, rax
    FAULTS "paging_off", X_GP, 0
    BEGIN
    mov rax, cr4
    and eax, ~0x20
AT  mov cr4, rax
    FAULTS "pae_off", X_GP, 0
    BEGIN
    mov rax, 0x100000000
    mov rbx, cr0
    or rax, rbx
AT  mov cr0, rax
    FAULTS "cr0_upper", X_GP, 0
    BEGIN
    mov eax, 16
AT  mov cr8, rax
    FAULTS "cr8_reserved", X_GP, 0
    mov eax, 9
    mov cr8, rax
    mov rbx, cr8
    EQUALS "cr8", rbx, 9
    xor eax, eax
    mov cr8, rax
    BEGIN
    mov ecx, 0xc0000080
    rdmsr
    and eax, ~0x100
AT  wrmsr
    FAULTS "lme_while_paging", X_GP, 0
    BEGIN
    mov ecx, 0x12345
AT  rdmsr
    FAULTS "unknown_msr", X_GP, 0
    BEGIN
    USER
    mov ecx, 0x10
AT  rdmsr
    FAULTS "user_rdmsr", X_GP, 0
    BEGIN
    mov word [rec], 0xff
    mov rax, 0x0000800000000000
    mov [rec + 2], rax
AT  lgdt [rec]
    FAULTS "lgdt_noncanonical", X_GP, 0
    BEGIN
    mov rax, cr4
    or eax, 0x800               ; UMIP
    mov cr4, rax
    USER
AT  str ax
    FAULTS "umip_str", X_GP, 0
    BEGIN
    USER
AT  smsw ax
    FAULTS "umip_smsw", X_GP, 0
    mov rax, cr4
    and eax, ~0x800
    mov cr4, rax
    BEGIN
    USER
    str ax
    RUNS "no_umip_str"
    BEGIN
    int 0x3f
    FAULTS "int_64", 0x3f, 0
    BEGIN
AT  int 0x7f
    FAULTS "idt_limit", X_GP, 0x7f * 8 + 2
    ret
