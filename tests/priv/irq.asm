; Interrupts between instructions: what STI, MOV SS and POPF hold back, HLT, NMI and its blocking,
; REP interrupted half way, priorities; system-management mode. Sources of interrupts are the local
; APIC's self-IPI and timer, so that every arrival is exact. SDM 3A 6.3, 6.7, 6.8, 6.9, 10.5, 10.6;
; SDM 3C 34.
%include "lib.inc"

LAPIC   equ 0xfee00000
IPI     equ 0x34
TIMER   equ 0x35
BUF     equ 0x300000
SMBASE  equ 0x30000
SMBASE2 equ 0x40000

section .data
align 4
irqs: dd 0                      ; interrupts taken
irq_ip: dd 0
irq_flags: dd 0
irq_ecx: dd 0
irq_esi: dd 0
irq_dr6: dd 0
nmis: dd 0
nmi_ip: dd 0
nmi_again: dd 0                 ; the handler sends itself another
nmi_depth: dd 0
nmi_max: dd 0
dbs: dd 0
section .text

%macro SEND 1                   ; the local APIC's command register; keeps all
    mov dword [LAPIC + 0x310], 0
    mov dword [LAPIC + 0x300], %1
%endmacro
%define TO_SELF (0x44000 + IPI)
%define NMI_0   0x4400
%define SMI_0   0x4200

%macro VECTOR 2
    mov eax, %2
    mov [idt + (%1) * 8], ax
    mov word [idt + (%1) * 8 + 2], KCODE
    mov word [idt + (%1) * 8 + 4], 0x8e00
    shr eax, 16
    mov [idt + (%1) * 8 + 6], ax
%endmacro

on_irq:
    mov [irq_ecx], ecx
    mov [irq_esi], esi
    push eax
    inc dword [irqs]
    mov eax, [esp + 4]
    mov [irq_ip], eax
    mov eax, [esp + 12]
    mov [irq_flags], eax
    mov dword [LAPIC + 0xb0], 0
    pop eax
    iretd

on_nmi:
    push eax
    inc dword [nmis]
    inc dword [nmi_depth]
    mov eax, [nmi_depth]
    cmp eax, [nmi_max]
    jbe .deep
    mov [nmi_max], eax
.deep:
    mov eax, [esp + 4]
    mov [nmi_ip], eax
    cmp dword [nmi_again], 0
    je .done
    dec dword [nmi_again]
    SEND NMI_0
    nop
    nop
.done:
    dec dword [nmi_depth]
    pop eax
    iretd

main:
    mov al, 0xff
    out 0x21, al
    out 0xa1, al
    mov dword [LAPIC + 0xf0], 0x13f     ; on; spurious vector 3FH
    mov dword [LAPIC + 0x80], 0
    VECTOR IPI, on_irq
    VECTOR TIMER, on_irq
    call shadows
    call halting
    push dword [idt + 16]
    push dword [idt + 20]
    VECTOR 2, on_nmi
    call nmi
    pop dword [idt + 20]
    pop dword [idt + 16]
    call strings
    call order
    call smm
    ret

; --- Shadows ------------------------------------------------------------------------------------
shadows:
    mov dword [irqs], 0
    BEGIN
    SEND TO_SELF
    nop
    sti
    nop
.a:
    nop
    cli
    RUNS "sti"
    EQUALS "sti_holds_one", dword [irq_ip], .a
    EQUALS "sti_once", dword [irqs], 1
    mov eax, [irq_flags]
    and eax, 0x200
    EQUALS "irq_pushes_if", eax, 0x200

    mov dword [irqs], 0
    BEGIN
    SEND TO_SELF
    sti
    cli
    nop
    RUNS "sti_cli"
    EQUALS "sti_cli_takes_none", dword [irqs], 0
    BEGIN
    sti
    sti                         ; IF is set already: no new shadow
.b:
    nop
    cli
    RUNS "sti_sti"
    EQUALS "sti_sti_ip", dword [irq_ip], .b

    BEGIN
    SEND TO_SELF
    mov eax, ss
    sti
    mov ss, ax
    nop
.c:
    nop
    cli
    RUNS "sti_mov_ss"
    EQUALS "mov_ss_holds_one", dword [irq_ip], .c
    BEGIN
    SEND TO_SELF
    push ss
    sti
    pop ss
    nop
.d:
    nop
    cli
    RUNS "sti_pop_ss"
    EQUALS "pop_ss_holds_one", dword [irq_ip], .d
    BEGIN
    SEND TO_SELF
    push dword 0x202
    popfd                       ; no shadow
.e:
    nop
    cli
    RUNS "popf"
    EQUALS "popf_no_shadow", dword [irq_ip], .e
    BEGIN
    SEND TO_SELF
    push dword 0x202
    push dword KCODE
    push dword .f
    iretd
.f:
    nop
    cli
    RUNS "iret"
    EQUALS "iret_no_shadow", dword [irq_ip], .f
    mov eax, 0x12340000
    BEGIN
    SEND TO_SELF
    sti
    lss esp, [.stack]           ; has no shadow of its own, but STI's covers it
.g:
    nop
    cli
    mov esp, [catch_sp]
    RUNS "lss"
    EQUALS "lss_no_shadow", dword [irq_ip], .g
    ret
section .data
.stack: dd 0x95000
    dw KDATA
section .text

; --- HLT ----------------------------------------------------------------------------------------
halting:
    mov dword [LAPIC + 0x3e0], 11       ; timer: divide by 1
    mov dword [LAPIC + 0x320], TIMER
    mov dword [irqs], 0
    BEGIN
    mov dword [LAPIC + 0x380], 5000
    sti
    hlt
.a:
    cli
    RUNS "hlt"
    EQUALS "hlt_wakes", dword [irqs], 1
    EQUALS "hlt_ip", dword [irq_ip], .a
    ; An interrupt that is there already: STI; HLT sleeps not at all.
    mov dword [irqs], 0
    BEGIN
    SEND TO_SELF
    sti
    hlt
.b:
    cli
    RUNS "hlt_pending"
    EQUALS "hlt_pending_ip", dword [irq_ip], .b
    EQUALS "hlt_pending_once", dword [irqs], 1
    ret

; --- NMI ----------------------------------------------------------------------------------------
nmi:
    BEGIN
    SEND NMI_0
.a:
    nop
    nop
    RUNS "nmi"
    EQUALS "nmi_taken_with_if_clear", dword [nmis], 1
    mov dword [nmis], 0
    mov dword [nmi_again], 2
    BEGIN
    SEND NMI_0
    nop
.b:
    nop
    RUNS "nmi_in_nmi"
    EQUALS "nmi_again_after_iret", dword [nmis], 3
    EQUALS "nmi_never_nested", dword [nmi_max], 1
    ; An interrupt's handler does not block NMI, and NMI's does not block a plain exception.
    mov dword [nmis], 0
    mov dword [irqs], 0
    BEGIN
    SEND TO_SELF
    SEND NMI_0
    sti
    nop
    nop
    cli
    RUNS "nmi_before_intr"
    EQUALS "nmi_one", dword [nmis], 1
    EQUALS "intr_one", dword [irqs], 1
    ret

; --- REP ----------------------------------------------------------------------------------------
%macro INTERRUPTED 3            ; name, instruction, direction of ESI: bytes an iteration
    mov dword [irqs], 0
    mov esi, BUF
    mov edi, BUF + 0x10000
    mov ecx, 5000
    mov eax, 0x01010101
    BEGIN
    mov dword [LAPIC + 0x380], 777
    sti
%%at:
    %2
%%behind:
    cli
    RUNS %1
    %strcat N1 %1, "_once"
    %strcat N2 %1, "_ip"
    %strcat N3 %1, "_rf"
    %strcat N4 %1, "_part"
    %strcat N5 %1, "_pointer"
    %strcat N6 %1, "_end"
    EQUALS N1, dword [irqs], 1
    EQUALS N2, dword [irq_ip], %%at
    mov ebx, [irq_flags]
    and ebx, 0x10000
    EQUALS N3, ebx, 0x10000
    mov ebx, [irq_ecx]
    dec ebx
    cmp ebx, 4998
    sbb ebx, ebx
    EQUALS N4, ebx, -1          ; 1 .. 4998 were left
    mov ebx, 5000
    sub ebx, [irq_ecx]
    imul ebx, ebx, %3
    add ebx, BUF
    EQUALS N5, ebx, dword [irq_esi]
    EQUALS N6, ecx, 0
%endmacro

strings:
    INTERRUPTED "rep_movsb", rep movsb, 1
    INTERRUPTED "rep_movsd", rep movsd, 4
    INTERRUPTED "rep_stosb", rep stosb, 0
    INTERRUPTED "rep_lodsd", rep lodsd, 4
    mov edi, BUF
    mov ecx, 0x8000
    xor eax, eax
    rep stosd
    INTERRUPTED "repe_cmpsb", repe cmpsb, 1
    ; Behind the last iteration RF is clear and the address is the next one's.
    mov dword [irqs], 0
    BEGIN
    SEND TO_SELF
    mov ecx, 1
    mov esi, BUF
    mov edi, BUF + 8
    sti
    rep movsb
.a:
    nop
    cli
    RUNS "rep_last"
    EQUALS "rep_last_ip", dword [irq_ip], .a
    mov eax, [irq_flags]
    and eax, 0x10000
    EQUALS "rep_last_rf", eax, 0
    ret

; --- Priorities ---------------------------------------------------------------------------------
; A single-step trap is taken before the interrupt; its gate clears IF, so the interrupt comes at
; its IRET.
step_hook:
    inc dword [dbs]
    mov eax, [irqs]
    mov [irq_dr6], eax          ; interrupts before the trap
    and dword [ebp + 48], ~0x100
    ret
order:
    mov dword [irqs], 0
    mov dword [hook], step_hook
    BEGIN
    SEND TO_SELF
    push dword 0x302            ; TF and IF
    push dword KCODE
    push dword .a
    mov dword [irq_dr6], 99
    cli
    iretd
.a:
    nop
.b:
    nop
    cli
    FAULTS "trap_and_interrupt", X_DB, 0
    mov dword [hook], 0
    EQUALS "interrupt_once", dword [irqs], 1
    ; IRET set TF and IF: the interrupt comes before the first instruction, the trap after it.
    EQUALS "interrupt_before_first", dword [irq_ip], .a
    EQUALS "trap_after_first", dword [irq_dr6], 1
    ret

; --- System-management mode ---------------------------------------------------------------------
smm:
    mov esi, smi_code
    mov edi, SMBASE + 0x8000
    mov ecx, smi_end - smi_code
    cld
    push esi
    push ecx
    rep movsb
    pop ecx
    pop esi
    mov edi, SMBASE2 + 0x8000
    rep movsb
    BEGIN
AT  rsm
    FAULTS "rsm_outside", X_UD, 0
    BEGIN
    mov eax, 0x11111111
    mov ebx, 0x22222222
    stc
    SEND SMI_0
.a:
    nop
    pushfd
    pop ecx
    RUNS "smi"
    EQUALS "smi_eax_changed", eax, 0xfeedface
    EQUALS "smi_ebx_kept", ebx, 0x22222222
    and ecx, 1
    EQUALS "smi_flags_kept", ecx, 1
    movzx eax, word [SMBASE + 0x8000 + s_cs - smi_code]
    EQUALS "smi_cs", eax, SMBASE >> 4
    mov eax, [SMBASE + 0x8000 + s_cr0 - smi_code]
    and eax, 0x80000001
    EQUALS "smi_real_mode", eax, 0
    mov eax, [SMBASE + 0x8000 + s_flags - smi_code]
    EQUALS "smi_flags", eax, 2
    EQUALS "smi_revision", dword [SMBASE + 0xfefc], 0x20064
    EQUALS "smi_saved_rax", dword [SMBASE + 0x8000 + s_eax - smi_code], 0x11111111
    EQUALS "smi_saved_base", dword [SMBASE + 0x8000 + s_base - smi_code], SMBASE
    mov eax, [SMBASE + 0xff78]
    sub eax, .a
    EQUALS "smi_saved_rip", eax, 0
    ; The first time moved SMBASE.
    BEGIN
    xor eax, eax
    SEND SMI_0
    nop
    RUNS "smi_moved"
    EQUALS "smi_moved_eax", eax, 0xfeedface
    movzx eax, word [SMBASE2 + 0x8000 + s_cs - smi_code]
    EQUALS "smi_moved_cs", eax, SMBASE2 >> 4
    ; At CPL 3, with its segments.
    BEGIN
    USER
    SEND SMI_0
    nop
    FAULTS "smi_user", URET, 0
    EQUALS "smi_user_cs", dword [got_cs], UCODE
    EQUALS "smi_user_esp", dword [got_sp], STACK3
    ret

align 16
bits 16
smi_code:
    mov [cs:s_eax - smi_code + 0x8000], eax
    mov [cs:s_cs - smi_code + 0x8000], cs
    mov eax, cr0
    mov [cs:s_cr0 - smi_code + 0x8000], eax
    mov sp, 0x7f00              ; SS base 0: linear 7F00H
    pushfd
    pop dword [cs:s_flags - smi_code + 0x8000]
    mov eax, [cs:0xff00]
    mov [cs:s_base - smi_code + 0x8000], eax
    mov dword [cs:0xfff8], 0xfeedface   ; RAX
    mov dword [cs:0xff00], SMBASE2
    rsm
align 4
s_eax: dd 0
s_cs: dd 0
s_cr0: dd 0
s_flags: dd 0
s_base: dd 0
smi_end:
bits 32
