; Hardware task switches: JMP, CALL, interrupts and exceptions through task gates, IRET with NT;
; busy bits, back link, what is saved and loaded, CR0.TS; faults before the switch and in the new
; task; the debug trap bit; 16-bit TSSs. SDM 3A 7.2 to 7.4, table 7-1.
%include "lib.inc"

T2      equ 0x210000            ; the second task's TSS
T16     equ 0x211000            ; a 16-bit one
STACKT  equ 0x94000

%macro DESC 5
    mov dword [gdt + (%1 & ~7)], ((%3) & 0xffff) | ((%2) & 0xffff) << 16
    mov dword [gdt + (%1 & ~7) + 4], ((%2) >> 16 & 0xff) | (%4) << 8 | \
        ((%3) >> 16 & 15) << 16 | (%5) << 20 | ((%2) >> 24) << 24
%endmacro
; IDT entry %1 becomes a task gate to %2 with access byte %3.
%macro TASKGATE 3
    mov dword [idt + (%1) * 8], (%2) << 16
    mov dword [idt + (%1) * 8 + 4], (%3) << 8
%endmacro

section .data
align 4
rec_tr: dd 0
rec_flags: dd 0
rec_cr0: dd 0
rec_regs: times 8 dd 0          ; as PUSHAD leaves them
rec_link: dd 0
rec_busy1: dd 0                 ; access byte of TSSSEL, seen by the new task
rec_busy2: dd 0                 ; and of its own
rec_err: dd 0
rec_segs: times 4 dd 0
bad_sel: dw 0x3f8
section .text

; TSS T2 as new: runs %1 at level 0.
%macro TASK 1
    mov eax, %1
    call fill_task
%endmacro
fill_task:
    push eax
    mov edi, T2
    mov ecx, 26
    xor eax, eax
    cld
    rep stosd
    pop eax
    mov dword [T2 + 4], STACKI
    mov dword [T2 + 8], KDATA
    mov [T2 + 0x20], eax
    mov dword [T2 + 0x24], 0x8d7
    mov dword [T2 + 0x28], 0x11111111
    mov dword [T2 + 0x2c], 0x22222222
    mov dword [T2 + 0x30], 0x33333333
    mov dword [T2 + 0x34], 0x44444444
    mov dword [T2 + 0x38], STACKT
    mov dword [T2 + 0x3c], 0x55555555
    mov dword [T2 + 0x40], 0x66666666
    mov dword [T2 + 0x44], 0x77777777
    mov dword [T2 + 0x48], UDATA
    mov dword [T2 + 0x4c], KCODE
    mov dword [T2 + 0x50], KDATA
    mov dword [T2 + 0x54], UDATA
    mov dword [T2 + 0x58], 0
    mov dword [T2 + 0x5c], UDATA
    mov dword [T2 + 0x64], 0x680000
    DESC TEST1, T2, 0x67, 0x89, 0
    ret

; After a fault in the new task: the first task's TSS again.
task_home:
    and byte [gdt + TSSSEL + 5], 0xfd
    push eax
    mov ax, TSSSEL
    ltr ax
    xor eax, eax
    lldt ax
    pop eax
    clts
    ret

; What a new task notes.
note:
    pushfd
    pop dword [rec_flags]
    mov [rec_segs], ds
    mov [rec_segs + 4], es
    mov [rec_segs + 8], fs
    mov [rec_segs + 12], gs
    pushad
    mov esi, esp
    mov edi, rec_regs
    mov ecx, 8
    cld
    rep movsd
    str [rec_tr]
    mov eax, cr0
    mov [rec_cr0], eax
    movzx eax, word [T2]
    mov [rec_link], eax
    movzx eax, byte [gdt + TSSSEL + 5]
    mov [rec_busy1], eax
    movzx eax, byte [gdt + TEST1 + 5]
    mov [rec_busy2], eax
    clts
    popad
    ret

task_jmp:
    call note
    jmp TSSSEL:0
    jmp task_jmp
task_iret:
    call note
    iretd
    jmp task_iret
task_err:                       ; started with an error code on its stack
    pop dword [rec_err]
    call note
    add dword [tss + 0x20], 7   ; past "mov ds, [bad_sel]"
    iretd

main:
    call switches
    call gates
    call before
    call inside
    call trap
    call small
    ret

; --- Switches that work -------------------------------------------------------------------------
switches:
    TASK task_jmp
    mov dword [T2], 0x1234
    BEGIN
    mov ebx, 0xabcd
    stc
    jmp TEST1:0
.back:
    RUNS "jmp_task"
    EQUALS "jmp_tr", dword [rec_tr], TEST1
    mov eax, [rec_flags]
    EQUALS "jmp_flags", eax, 0x8d7      ; NT stays clear
    EQUALS "jmp_eax", dword [rec_regs + 28], 0x11111111
    EQUALS "jmp_ecx", dword [rec_regs + 24], 0x22222222
    EQUALS "jmp_esp", dword [rec_regs + 12], STACKT - 4
    EQUALS "jmp_ebp", dword [rec_regs + 8], 0x55555555
    EQUALS "jmp_edi", dword [rec_regs], 0x77777777
    EQUALS "jmp_fs", dword [rec_segs + 8], 0
    EQUALS "jmp_gs", dword [rec_segs + 12], UDATA
    mov eax, [rec_cr0]
    and eax, 8
    EQUALS "jmp_sets_ts", eax, 8
    EQUALS "jmp_no_link", dword [rec_link], 0x1234
    EQUALS "jmp_old_not_busy", dword [rec_busy1], 0x89
    EQUALS "jmp_new_busy", dword [rec_busy2], 0x8b
    EQUALS "jmp_saved_eip", dword [tss + 0x20], switches.back
    EQUALS "jmp_saved_ebx", dword [tss + 0x34], 0xabcd
    EQUALS "jmp_saved_cs", dword [tss + 0x4c], KCODE
    mov eax, [tss + 0x24]
    and eax, 1
    EQUALS "jmp_saved_flags", eax, 1
    movzx eax, byte [gdt + TEST1 + 5]
    EQUALS "jmp_back_not_busy", eax, 0x89

    TASK task_iret
    BEGIN
    call TEST1:0
.back2:
    RUNS "call_task"
    EQUALS "call_link", dword [rec_link], TSSSEL
    mov eax, [rec_flags]
    and eax, 0x4000
    EQUALS "call_sets_nt", eax, 0x4000
    EQUALS "call_old_busy", dword [rec_busy1], 0x8b
    EQUALS "call_new_busy", dword [rec_busy2], 0x8b
    movzx eax, byte [gdt + TEST1 + 5]
    EQUALS "iret_frees", eax, 0x89
    movzx eax, byte [gdt + TSSSEL + 5]
    EQUALS "iret_old_stays_busy", eax, 0x8b
    mov eax, [T2 + 0x24]
    and eax, 0x4000
    EQUALS "iret_saves_nt_clear", eax, 0
    str ax
    movzx eax, ax
    EQUALS "iret_tr", eax, TSSSEL
    ret

; --- Task gates ---------------------------------------------------------------------------------
gates:
    TASK task_iret
    TASKGATE 0x31, TEST1, 0xe5
    BEGIN
    USER
    int 0x31
    RUNS "int_task_from_user"
    EQUALS "int_task_link", dword [rec_link], TSSSEL
    EQUALS "int_task_saved_cs", dword [tss + 0x4c], UCODE
    EQUALS "int_task_saved_esp", dword [tss + 0x38], STACK3
    ; A call gate's place holds a task gate: CALL through it.
    TASK task_iret
    mov dword [gdt + TEST3], TEST1 << 16
    mov dword [gdt + TEST3 + 4], 0xe500
    BEGIN
    USER
    call TEST3 + 3:0
    RUNS "call_task_gate"
    ; An exception with an error code.
    TASK task_err
    push dword [idt + X_GP * 8]
    push dword [idt + X_GP * 8 + 4]
    TASKGATE X_GP, TEST1, 0x85
    BEGIN
.at:
    mov ds, [bad_sel]
    RUNS "gp_task"
    pop dword [idt + X_GP * 8 + 4]
    pop dword [idt + X_GP * 8]
    EQUALS "gp_task_error", dword [rec_err], 0x3f8
    EQUALS "gp_task_eip", dword [tss + 0x20], gates.at + 7
    mov eax, [tss + 0x24]
    and eax, 0x10000
    EQUALS "gp_task_rf", eax, 0x10000
    ret

; --- Faults in the old task ---------------------------------------------------------------------
before:
    TASK task_jmp
    mov byte [gdt + TEST1 + 5], 0x8b
    BEGIN
AT  jmp TEST1:0
    FAULTS "busy", X_GP, TEST1
    mov byte [gdt + TEST1 + 5], 0x09
    BEGIN
AT  jmp TEST1:0
    FAULTS "absent", X_NP, TEST1
    mov byte [gdt + TEST1 + 5], 0x89
    mov word [gdt + TEST1], 0x66
    BEGIN
AT  call TEST1:0
    FAULTS "short", X_TS, TEST1
    mov word [gdt + TEST1], 0x67
    BEGIN
AT  jmp TEST1 + 4:0
    FAULTS "in_ldt", X_GP, TEST1 + 4
    BEGIN
    USER
AT  jmp TEST1 + 3:0
    FAULTS "user_dpl0", X_GP, TEST1
    TASKGATE 0x31, KDATA, 0x85
    BEGIN
AT  int 0x31
    FAULTS "gate_to_no_tss", X_GP, KDATA
    TASKGATE 0x31, TEST1, 0x05
    BEGIN
AT  int 0x31
    FAULTS "gate_absent", X_NP, 0x31 * 8 + 2
    TASKGATE 0x31, TEST1, 0x85
    mov byte [gdt + TEST1 + 5], 0x8b
    BEGIN
AT  int 0x31
    FAULTS "gate_to_busy", X_GP, TEST1
    BEGIN
    USER
AT  int 0x31
    FAULTS "gate_dpl", X_GP, 0x31 * 8 + 2
    ; IRET with NT: the link must name a busy TSS.
    mov byte [gdt + TEST1 + 5], 0x89
    mov word [tss], TEST1
    BEGIN
    push dword 0x4002
    popfd
AT  iretd
    FAULTS "iret_link_not_busy", X_TS, TEST1
    mov word [tss], KDATA
    BEGIN
    push dword 0x4002
    popfd
AT  iretd
    FAULTS "iret_link_no_tss", X_TS, KDATA
    mov word [tss], 0x3f8
    BEGIN
    push dword 0x4002
    popfd
AT  iretd
    FAULTS "iret_link_outside", X_TS, 0x3f8
    push dword 2
    popfd
    mov word [tss], 0
    ret

; --- Faults in the new task ---------------------------------------------------------------------
; INSIDE name, offset in T2, value, vector, error: a CPL 3 task with one bad field.
%macro INSIDE 5
    TASK user_task
    mov dword [T2 + 0x4c], UCODE
    mov dword [T2 + 0x50], UDATA
    mov dword [T2 + %2], %3
    BEGIN
    jmp TEST1:0
    FAULTS %1, %4, %5
    %strcat NAME_IP %1, "_ip"
    %strcat NAME_TR %1, "_tr"
    EQUALS NAME_IP, dword [got_ip], dword [T2 + 0x20]
    str ax
    movzx eax, ax
    EQUALS NAME_TR, eax, TEST1
    call task_home
%endmacro
user_task:
    int URET

inside:
    INSIDE "new_cs_data", 0x4c, KDATA + 3, X_TS, KDATA
    INSIDE "new_cs_null", 0x4c, 3, X_TS, 0
    INSIDE "new_cs_dpl", 0x4c, KCODE + 3, X_TS, KCODE
    INSIDE "new_ss_null", 0x50, 0, X_TS, 0
    INSIDE "new_ss_dpl", 0x50, KDATA + 3, X_TS, KDATA
    INSIDE "new_ss_code", 0x50, UCODE, X_TS, UCODE & ~3
    DESC TEST2, 0, 0xfffff, 0x73, 0xc
    INSIDE "new_ss_absent", 0x50, TEST2 + 3, X_SS, TEST2
    INSIDE "new_ds_absent", 0x54, TEST2 + 3, X_NP, TEST2
    INSIDE "new_ds_dpl", 0x54, KDATA, X_TS, KDATA
    INSIDE "new_es_outside", 0x48, 0x3f8, X_TS, 0x3f8
    INSIDE "new_gs_system", 0x5c, TSSSEL, X_TS, TSSSEL
    INSIDE "new_ldt_no_ldt", 0x60, KDATA, X_TS, KDATA
    DESC TEST2, 0, 0xff, 0xfb, 4
    INSIDE "new_eip_beyond", 0x4c, TEST2 + 3, X_GP, 0
    DESC TEST2, 0, 0xfffff, 0x7b, 0xc
    INSIDE "new_cs_absent", 0x4c, TEST2 + 3, X_NP, TEST2
    TASK user_task
    mov dword [T2 + 0x4c], UCODE
    mov dword [T2 + 0x50], UDATA
    BEGIN
    jmp TEST1:0
    FAULTS "user_task_runs", URET, 0
    call task_home
    ret

; --- The T bit ----------------------------------------------------------------------------------
trap:
    TASK .new
    mov word [T2 + 0x64], 1
    mov eax, 0xffff0ff0
    mov dr6, eax
    BEGIN
    jmp TEST1:0
    FAULTS "t_bit", X_DB, 0
    EQUALS "t_bit_ip", dword [got_ip], .new
    mov eax, dr6
    and eax, 0xe00f
    EQUALS "t_bit_dr6", eax, 0x8000
    call task_home
    ret
.new:
    nop
    jmp TSSSEL:0

; --- 16-bit TSS ---------------------------------------------------------------------------------
small:
    mov edi, T16
    mov ecx, 11
    xor eax, eax
    rep stosd
    mov word [T16 + 0x0e], 0x6000
    mov word [T16 + 0x10], 2
    mov word [T16 + 0x12], 0x1111
    mov word [T16 + 0x1a], 0x4000
    mov word [T16 + 0x22], UDATA
    mov word [T16 + 0x24], KCODE
    mov word [T16 + 0x26], KDATA
    mov word [T16 + 0x28], UDATA
    DESC TEST2, T16, 0x2b, 0x81, 0
    mov byte [0x6000], 0xe9
    mov dword [0x6001], .task - 0x6005
    BEGIN
    mov ebx, 0xfeedbeef
    push fs
    call TEST2:0
    pop fs
    RUNS "small_task"
    EQUALS "small_kept_ebx", ebx, 0xfeedbeef
    mov eax, [rec_regs + 28]
    movzx eax, ax
    EQUALS "small_ax", eax, 0x1111
    EQUALS "small_tr", dword [rec_tr], TEST2
    EQUALS "small_fs", dword [rec_segs + 8], 0
    movzx eax, word [T16]
    EQUALS "small_link", eax, TSSSEL
    movzx eax, word [T16 + 0x12]
    EQUALS "small_saved_ax", eax, 0xabcd
    movzx eax, byte [gdt + TEST2 + 5]
    EQUALS "small_not_busy", eax, 0x81
    ret
.task:
    call note
    mov ax, 0xabcd
    iretd
