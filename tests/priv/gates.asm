; Transfers through gates: call gates of both sizes, inner stacks and parameters, conforming code,
; returns to outer levels, interrupt and trap gates, what a bad gate raises and with which error
; code, double faults. SDM 3A 5.8, 6.12, 6.13, table 6-5; SDM 2A CALL, RET, INT n.
%include "lib.inc"

; Descriptor %1 (TESTn): base, limit (20 bits), access byte, flags (G 8, D/B 4, L 2).
%macro DESC 5
    mov dword [gdt + (%1 & ~7)], ((%3) & 0xffff) | ((%2) & 0xffff) << 16
    mov dword [gdt + (%1 & ~7) + 4], ((%2) >> 16 & 0xff) | (%4) << 8 | \
        ((%3) >> 16 & 15) << 16 | (%5) << 20 | ((%2) >> 24) << 24
%endmacro

; Gate at address %1: selector, offset (a label), access byte, parameters.
%macro GATE 5
    push eax
    mov eax, %3
    mov [%1], ax
    mov word [%1 + 2], %2
    mov word [%1 + 4], %5 | (%4) << 8
    shr eax, 16
    mov [%1 + 6], ax
    pop eax
%endmacro
%define CALLGATE(sel) gdt + ((sel) & ~7)
%define INTGATE(n) idt + (n) * 8

main:
    call call_same
    call call_inner
    call call_wrong
    call inner_stack
    call conforming
    call interrupts
    call bad_gates
    call double
    ret

section .data
align 4
rec: times 16 dd 0              ; what a gate's routine found: ESP, then its stack
rec_cs: dd 0
rec_ss: dd 0
rec_flags: dd 0
rec_after: dd 0                 ; ESP back in the caller
section .text

; Routines behind the gates. They note the stack as they found it.
note:                           ; [esp + 4] is what the gate left
    pushfd
    pop dword [rec_flags]
    cld
    pushad
    lea esi, [esp + 36]
    mov [rec], esi
    mov edi, rec + 4
    mov ecx, 10
    rep movsd
    mov [rec_cs], cs
    mov [rec_ss], ss
    popad
    ret
entry0:
    call note
    retf
entry_only:
    retf
entry8:
    call note
    retf 8
entry16:                        ; entered with 16-bit pushes
    call note
    o16 retf
entry_int:
    call note
    iretd
entry_int16:
    call note
    o16 iret

; --- Call gates, same level ---------------------------------------------------------------------
call_same:
    GATE CALLGATE(TEST1), KCODE, entry0, 0x8c, 3
    BEGIN
    mov [rec_after], esp
    call TEST1:0x12345678       ; the offset is not used
.back:
    sub [rec_after], esp
    RUNS "call_same"
    EQUALS "call_same_eip", dword [rec + 4], call_same.back
    EQUALS "call_same_cs", dword [rec + 8], KCODE
    EQUALS "call_same_esp", dword [rec_after], 0
    GATE CALLGATE(TEST1), KCODE, entry16, 0x84, 0
    mov word [CALLGATE(TEST1) + 6], 0xffff  ; a 16-bit gate does not look at it
    ; The routine must lie below 64 KiB: a stub at 0x6000 jumps to it.
    mov byte [0x6000], 0xe9
    mov dword [0x6001], entry16 - 0x6005
    mov word [CALLGATE(TEST1)], 0x6000
    mov edi, 0x6100
    mov byte [edi], 0x9a        ; call far TEST1:0 from below 64 KiB, for a 16-bit return address
    mov dword [edi + 1], 0
    mov word [edi + 5], TEST1
    mov byte [edi + 7], 0xc3
    BEGIN
    mov ebx, esp
    call edi
    sub ebx, esp
    RUNS "call_same_16"
    EQUALS "call_same_16_pushed", dword [rec + 4], KCODE << 16 | 0x6107
    EQUALS "call_same_16_esp", ebx, 0
    ret

; --- Call gates, inner level --------------------------------------------------------------------
call_inner:
    GATE CALLGATE(TEST1), KCODE, entry8, 0xec, 2
    BEGIN
    USER
    push dword 0x11111111
    push dword 0x22222222
    call TEST1 + 3:0
.back:
    mov [rec_after], esp
    RUNS "call_inner"
    EQUALS "call_inner_stack", dword [rec], STACKI - 24
    EQUALS "call_inner_eip", dword [rec + 4], call_inner.back
    EQUALS "call_inner_cs", dword [rec + 8], UCODE
    EQUALS "call_inner_param_last", dword [rec + 12], 0x22222222
    EQUALS "call_inner_param_first", dword [rec + 16], 0x11111111
    EQUALS "call_inner_old_esp", dword [rec + 20], STACK3 - 8
    EQUALS "call_inner_old_ss", dword [rec + 24], UDATA
    EQUALS "call_inner_runs_at_0", dword [rec_cs], KCODE
    EQUALS "call_inner_ss", dword [rec_ss], KDATA
    EQUALS "call_inner_dropped", dword [rec_after], STACK3
    ; Back at level 3 the data segments of level 0 are gone, the others stay.
    GATE CALLGATE(TEST1), KCODE, .load_inner, 0xec, 0
    BEGIN
    USER
    call TEST1 + 3:0
    mov eax, ds
    mov [ss:rec], eax
    mov eax, es
    mov [ss:rec + 4], eax
    mov eax, fs
    mov [ss:rec + 8], eax
    push ss
    pop ds
    RUNS "return_drops_segments"
    EQUALS "return_drops_ds", dword [rec], 0
    EQUALS "return_keeps_es", dword [rec + 4], UDATA
    EQUALS "return_drops_fs", dword [rec + 8], 0
    ret
.load_inner:
    mov ax, KDATA
    mov ds, ax
    mov fs, ax
    retf

; --- What is wrong with a call gate --------------------------------------------------------------
call_wrong:
    GATE CALLGATE(TEST1), KCODE, entry0, 0x8c, 0
    BEGIN
    USER
AT  call TEST1 + 3:0
    FAULTS "gate_dpl_below_cpl", X_GP, TEST1
    BEGIN
AT  call TEST1 + 3:0
    FAULTS "gate_rpl_over_dpl", X_GP, TEST1
    GATE CALLGATE(TEST1), KCODE, entry0, 0x0c, 0
    BEGIN
AT  call TEST1:0
    FAULTS "gate_absent", X_NP, TEST1
    GATE CALLGATE(TEST1), 0, entry0, 0x8c, 0
    BEGIN
AT  call TEST1:0
    FAULTS "gate_to_null", X_GP, 0
    GATE CALLGATE(TEST1), KDATA, entry0, 0x8c, 0
    BEGIN
AT  call TEST1:0
    FAULTS "gate_to_data", X_GP, KDATA
    GATE CALLGATE(TEST1), UCODE, entry0, 0x8c, 0
    BEGIN
AT  call TEST1:0
    FAULTS "gate_to_outer", X_GP, UCODE & ~3
    GATE CALLGATE(TEST1), 0x3f8, entry0, 0x8c, 0
    BEGIN
AT  call TEST1:0
    FAULTS "gate_outside_table", X_GP, 0x3f8
    GATE CALLGATE(TEST1), TEST2, entry0, 0x8c, 0
    DESC TEST2, 0, 0xfffff, 0x1b, 0xc
    BEGIN
AT  call TEST1:0
    FAULTS "gate_to_absent", X_NP, TEST2
    DESC TEST2, 0, 0xff, 0x9b, 4
    BEGIN
AT  call TEST1:0
    FAULTS "gate_beyond_limit", X_GP, 0
    GATE CALLGATE(TEST1), KCODE, entry0, 0xec, 0
    BEGIN
    USER
AT  jmp TEST1 + 3:0
    FAULTS "jmp_gate_inner", X_GP, KCODE
    mov byte [gdt + TEST1 + 5], 0x8e    ; an interrupt gate is none for CALL
    BEGIN
AT  call TEST1:0
    FAULTS "call_interrupt_gate", X_GP, TEST1
    BEGIN
    push dword KCODE
    push dword .out
    retf
.out:
    RUNS "retf_same"
    BEGIN
    USER
    push dword KCODE
    push dword .out
AT  retf
    FAULTS "retf_to_inner", X_GP, KCODE
    BEGIN
    push dword 0
    push dword .out
AT  retf
    FAULTS "retf_null", X_GP, 0
    BEGIN
    push dword 0                ; SS
    push dword STACK3
    push dword UCODE
    push dword .out
AT  retf
    FAULTS "retf_outer_ss_null", X_GP, 0
    BEGIN
    push dword KDATA
    push dword STACK3
    push dword UCODE
    push dword .out
AT  retf
    FAULTS "retf_outer_ss_dpl", X_GP, KDATA
    DESC TEST3, 0, 0xfffff, 0x73, 0xc
    BEGIN
    push dword TEST3 + 3
    push dword STACK3
    push dword UCODE
    push dword .out
AT  retf
    FAULTS "retf_outer_ss_absent", X_SS, TEST3
    ret

; --- Stacks of inner levels: faults --------------------------------------------------------------
; The gates lead to level 1 and 2, so that the faults find a good stack at level 0.
inner_stack:
    DESC TEST2, 0, 0xfffff, 0xbb, 0xc   ; code, DPL 1
    DESC TEST3, 0, 0xfffff, 0xb3, 0xc   ; data, DPL 1
    GATE CALLGATE(TEST1), TEST2 + 1, entry0, 0xec, 0
    mov dword [tss + 12], 0x96000
    mov dword [tss + 16], TEST3 + 1
    BEGIN
    USER
    call TEST1 + 3:0
    RUNS "level_1"
    EQUALS "level_1_stack", dword [rec], 0x96000 - 16
    EQUALS "level_1_cs", dword [rec_cs], TEST2 + 1
    EQUALS "level_1_ss", dword [rec_ss], TEST3 + 1
    mov dword [tss + 16], 0
    BEGIN
    USER
AT  call TEST1 + 3:0
    FAULTS "inner_ss_null", X_TS, 0
    mov dword [tss + 16], TEST3
    BEGIN
    USER
AT  call TEST1 + 3:0
    FAULTS "inner_ss_rpl", X_TS, TEST3
    mov dword [tss + 16], TEST3 + 1
    mov byte [gdt + TEST3 + 5], 0xd3
    BEGIN
    USER
AT  call TEST1 + 3:0
    FAULTS "inner_ss_dpl", X_TS, TEST3
    mov byte [gdt + TEST3 + 5], 0xb1
    BEGIN
    USER
AT  call TEST1 + 3:0
    FAULTS "inner_ss_readonly", X_TS, TEST3
    mov byte [gdt + TEST3 + 5], 0x33
    BEGIN
    USER
AT  call TEST1 + 3:0
    FAULTS "inner_ss_absent", X_SS, TEST3
    mov dword [tss + 16], 0x3f9
    BEGIN
    USER
AT  call TEST1 + 3:0
    FAULTS "inner_ss_outside", X_TS, 0x3f8
    mov dword [tss + 16], TEST3 + 1
    mov dword [tss + 12], 12
    DESC TEST3, 0x96000, 0xfff, 0xb3, 4
    BEGIN
    USER
AT  call TEST1 + 3:0
    FAULTS "inner_stack_full", X_SS, TEST3
    mov dword [tss + 12], 16
    GATE CALLGATE(TEST1), TEST2 + 1, entry_only, 0xec, 0
    BEGIN
    USER
    call TEST1 + 3:0
    RUNS "inner_stack_just_fits"
    ; A TSS that ends before the stack of level 2.
    mov byte [gdt + TEST2 + 5], 0xdb
    mov byte [gdt + TSSSEL + 5], 0x89
    mov word [gdt + TSSSEL], 24
    mov ax, TSSSEL
    ltr ax
    BEGIN
    USER
AT  call TEST1 + 3:0
    FAULTS "inner_tss_too_short", X_TS, TSSSEL
    mov byte [gdt + TSSSEL + 5], 0x89
    mov word [gdt + TSSSEL], 0x67
    ltr ax
    ret

; --- Conforming code ----------------------------------------------------------------------------
conforming:
    DESC TEST2, 0, 0xfffff, 0x9f, 0xc   ; conforming, DPL 0
    GATE CALLGATE(TEST1), TEST2, entry0, 0xec, 0
    BEGIN
    USER
    call TEST1 + 3:0
    RUNS "conforming_by_gate"
    EQUALS "conforming_keeps_cpl", dword [rec_cs], TEST2 + 3
    EQUALS "conforming_keeps_stack", dword [rec], STACK3 - 8
    BEGIN
    USER
    jmp TEST2:.there
.there:
    mov [rec_cs], cs
    RUNS "conforming_direct"
    EQUALS "conforming_direct_cpl", dword [rec_cs], TEST2 + 3
    mov byte [gdt + TEST2 + 5], 0xff
    BEGIN
AT  jmp TEST2:.there
    FAULTS "conforming_dpl_over_cpl", X_GP, TEST2
    mov byte [gdt + TEST2 + 5], 0x9f
    GATE INTGATE(0x31), TEST2, entry_int, 0xee, 0
    BEGIN
    USER
    int 0x31
    RUNS "int_conforming"
    EQUALS "int_conforming_cpl", dword [rec_cs], TEST2 + 3
    EQUALS "int_conforming_stack", dword [rec], STACK3 - 12
    ret

; --- Interrupt and trap gates -------------------------------------------------------------------
interrupts:
    GATE INTGATE(0x31), KCODE, entry_int, 0xee, 0
    BEGIN
    push dword 0x4cd7           ; NT set as well: it is cleared for the handler
    and dword [esp], ~0x4000
    popfd
    int 0x31
.back:
    cld
    RUNS "int_same"
    EQUALS "int_same_eip", dword [rec + 4], interrupts.back
    EQUALS "int_same_cs", dword [rec + 8], KCODE
    EQUALS "int_same_flags", dword [rec + 12], 0xcd7
    BEGIN
    USER
    int 0x31
    RUNS "int_inner"
    EQUALS "int_inner_stack", dword [rec], STACKI - 20
    EQUALS "int_inner_cs", dword [rec + 8], UCODE
    EQUALS "int_inner_esp", dword [rec + 16], STACK3
    EQUALS "int_inner_ss", dword [rec + 20], UDATA
    ; IF: an interrupt gate clears it, a trap gate does not. (All interrupt lines are masked.)
    mov al, 0xff
    out 0x21, al
    out 0xa1, al
    BEGIN
    sti
    int 0x31
    cli
    RUNS "interrupt_gate"
    mov eax, [rec_flags]
    and eax, 0x200
    EQUALS "interrupt_gate_clears_if", eax, 0
    mov eax, [rec + 12]
    and eax, 0x200
    EQUALS "interrupt_gate_pushes_if", eax, 0x200
    GATE INTGATE(0x31), KCODE, entry_int, 0xef, 0
    BEGIN
    sti
    int 0x31
    cli
    RUNS "trap_gate"
    mov eax, [rec_flags]
    and eax, 0x200
    EQUALS "trap_gate_keeps_if", eax, 0x200
    ; A 16-bit gate.
    mov byte [0x6000], 0xe9
    mov dword [0x6001], entry_int16 - 0x6005
    GATE INTGATE(0x31), KCODE, 0x6000, 0xe6, 0
    mov dword [0x6100], 0xc331cd ; int 0x31; ret
    mov edi, 0x6100
    BEGIN
    mov ebx, esp
    push dword 2
    popfd
    call edi
    sub ebx, esp
    RUNS "int_16"
    EQUALS "int_16_pushed", dword [rec + 4], KCODE << 16 | 0x6102
    mov eax, [rec + 8]
    movzx eax, ax
    EQUALS "int_16_flags", eax, 2
    EQUALS "int_16_esp", ebx, 0
    ret

; --- What is wrong with a gate of the IDT -------------------------------------------------------
bad_gates:
    GATE INTGATE(0x31), KCODE, entry_int, 0xec, 0       ; a call gate
    BEGIN
AT  int 0x31
    FAULTS "idt_call_gate", X_GP, 0x31 * 8 + 2
    GATE INTGATE(0x31), 0, entry_int, 0xee, 0
    BEGIN
AT  int 0x31
    FAULTS "idt_null_target", X_GP, 0
    GATE INTGATE(0x31), KDATA, entry_int, 0xee, 0
    BEGIN
AT  int 0x31
    FAULTS "idt_data_target", X_GP, KDATA
    GATE INTGATE(0x31), UCODE, entry_int, 0xee, 0
    BEGIN
AT  int 0x31
    FAULTS "idt_outer_target", X_GP, UCODE & ~3
    DESC TEST2, 0, 0xfffff, 0x1b, 0xc
    GATE INTGATE(0x31), TEST2, entry_int, 0xee, 0
    BEGIN
AT  int 0x31
    FAULTS "idt_absent_target", X_NP, TEST2
    DESC TEST2, 0, 0xff, 0x9b, 4
    BEGIN
AT  int 0x31
    FAULTS "idt_target_limit", X_GP, 0
    ; An exception, not an instruction, meets the bad gate: EXT is set.
    mov eax, [INTGATE(X_UD)]
    mov edx, [INTGATE(X_UD) + 4]
    mov dword [INTGATE(X_UD) + 4], 0x0e00
    BEGIN
AT  ud2
    FAULTS "ext_gate_absent", X_NP, X_UD * 8 + 3
    mov dword [INTGATE(X_UD) + 4], 0x8e00
    mov dword [INTGATE(X_UD)], 0
    BEGIN
AT  ud2
    FAULTS "ext_null_target", X_GP, 1
    mov dword [INTGATE(X_UD)], KDATA << 16
    BEGIN
AT  ud2
    FAULTS "ext_data_target", X_GP, KDATA + 1
    ; INT1 is not a software interrupt: the gate's DPL does not count, EXT is set.
    mov [INTGATE(X_UD)], eax
    mov [INTGATE(X_UD) + 4], edx
    mov eax, [INTGATE(X_DB)]
    mov edx, [INTGATE(X_DB) + 4]
    BEGIN
    USER
    db 0xf1
.after:
    FAULTS "int1_ignores_dpl", X_DB, 0
    EQUALS "int1_is_a_trap", dword [got_ip], .after
    mov dword [INTGATE(X_DB) + 4], 0x0e00
    BEGIN
AT  db 0xf1
    FAULTS "int1_ext", X_NP, X_DB * 8 + 3
    mov [INTGATE(X_DB)], eax
    mov [INTGATE(X_DB) + 4], edx
    BEGIN
    USER
    int3
.after3:
    FAULTS "int3_user", X_BP, 0
    mov byte [INTGATE(X_BP) + 5], 0x8e
    BEGIN
    USER
AT  int3
    FAULTS "int3_dpl", X_GP, X_BP * 8 + 2
    mov byte [INTGATE(X_BP) + 5], 0xee
    ret

; --- Double faults: contributory after contributory ---------------------------------------------
double:
    mov eax, [INTGATE(X_DE)]
    mov edx, [INTGATE(X_DE) + 4]
    mov dword [INTGATE(X_DE) + 4], 0x0e00
    xor ecx, ecx
    BEGIN
AT  div ecx
    FAULTS "de_np_is_df", X_DF, 0
    mov dword [got_ip], 0
    mov [INTGATE(X_DE)], eax
    mov [INTGATE(X_DE) + 4], edx
    mov eax, [INTGATE(X_GP) + 4]
    mov dword [INTGATE(X_GP) + 4], 0x0e00
    BEGIN
AT  mov ds, [bad_sel]
    FAULTS "gp_np_is_df", X_DF, 0
    BEGIN
AT  int 0x3f + 0x40
    FAULTS "int_gp_np_is_df", X_DF, 0
    mov [INTGATE(X_GP) + 4], eax
    ; Benign first: the second is delivered.
    mov edx, [INTGATE(X_UD) + 4]
    mov dword [INTGATE(X_UD) + 4], 0x8500       ; a task gate to nothing
    mov dword [INTGATE(X_UD)], 0
    BEGIN
AT  ud2
    FAULTS "benign_then_gp", X_GP, 1
    mov eax, entries + 16 * X_UD
    mov [INTGATE(X_UD)], ax
    mov word [INTGATE(X_UD) + 2], KCODE
    mov [INTGATE(X_UD) + 4], edx
    ret
section .data
bad_sel: dw 0x3f8
section .text
