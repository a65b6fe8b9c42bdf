; MONITOR and MWAIT: a line that has changed already, waking by an interrupt with and without IF, by
; a store of an interrupt's handler, what MWAIT without MONITOR does, privilege and reserved bits.
; SDM 2B MONITOR, MWAIT.
; doppel: -cpu doppel64,+monitor
%include "lib.inc"

LAPIC   equ 0xfee00000
TIMER   equ 0x35
LINE    equ 0x300000

section .data
align 4
irqs: dd 0
irq_ip: dd 0
irq_if: dd 0
section .text

on_irq:
    push eax
    inc dword [irqs]
    mov eax, [esp + 4]
    mov [irq_ip], eax
    mov dword [LAPIC + 0xb0], 0
    pop eax
    iretd

%macro ARM 0
    mov eax, LINE + 8
    xor ecx, ecx
    xor edx, edx
    monitor
    xor eax, eax
%endmacro
%macro ALARM 0                  ; the timer, in a while
    mov dword [irqs], 0
    mov dword [LAPIC + 0x380], 3000
%endmacro

main:
    mov al, 0xff
    out 0x21, al
    out 0xa1, al
    mov dword [LAPIC + 0xf0], 0x13f
    mov dword [LAPIC + 0x3e0], 11
    mov dword [LAPIC + 0x320], TIMER
    mov eax, on_irq
    mov [idt + TIMER * 8], ax
    shr eax, 16
    mov [idt + TIMER * 8 + 6], ax

    ; Each of these hangs, and so loses cases, if MWAIT does not end.
    BEGIN
    xor ecx, ecx
    mwait
    RUNS "mwait_unarmed"
    BEGIN
    ARM
    inc dword [LINE + 60]       ; same line
    mwait
    RUNS "mwait_line_changed"
    BEGIN
    ALARM
    ARM
    sti
    mwait
.a:
    cli
    RUNS "mwait_interrupt"
    EQUALS "mwait_interrupt_taken", dword [irqs], 1
    EQUALS "mwait_interrupt_ip", dword [irq_ip], .a
    BEGIN
    xor ecx, ecx
    mwait                       ; the wake-up has disarmed the monitor
    RUNS "mwait_disarmed"
    BEGIN
    ALARM
    ARM
    mov ecx, 1
    mwait                       ; IF is clear: wakes, but is not taken
    RUNS "mwait_break"
    EQUALS "mwait_break_not_taken", dword [irqs], 0
    sti
    nop
    cli
    EQUALS "mwait_break_still_there", dword [irqs], 1
    BEGIN
    ALARM
    ARM
    mov dword [LINE + 64], 5    ; the next line does not count
    sti
    mwait
    cli
    RUNS "mwait_other_line"
    EQUALS "mwait_other_line_waited", dword [irqs], 1
    xor ecx, ecx
    BEGIN
    USER
AT  monitor
    FAULTS "monitor_user", X_UD, 0
    BEGIN
    USER
AT  mwait
    FAULTS "mwait_user", X_UD, 0
    mov eax, LINE
    mov ecx, 1
    BEGIN
AT  monitor
    FAULTS "monitor_extension", X_GP, 0
    mov ecx, 2
    BEGIN
AT  mwait
    FAULTS "mwait_extension", X_GP, 0
    ret
