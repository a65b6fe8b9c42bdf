; x87 errors the way of the PC: with CR0.NE clear, FERR# becomes IRQ 13; a write to port F0h ends
; the request and asserts IGNNE# until FERR# falls; without that the next waiting x87 instruction
; stops until an interrupt comes. SDM volume 1, 8.7 and appendix D.2.1; SDM 3A 2.5.
%include "lib.inc"

LAPIC   equ 0xfee00000
TIMER   equ 0x35
IRQ13   equ 0x3d                ; the second 8259 begins at 38H
NE      equ 0x20

section .data
align 4
irqs: dd 0                      ; taken: IRQ 13, timer
irq_ip: dd 0
irq_sw: dd 0                    ; the handler's FNSTSW
timers: dd 0
timer_ip: dd 0
timer_clears: dd 0              ; the timer's handler clears the exception
cw_ze: dw 0x37b                 ; ZE unmasked
env: times 7 dd 0
section .text

%macro VECTOR 2
    mov eax, %2
    mov [idt + (%1) * 8], ax
    mov word [idt + (%1) * 8 + 2], KCODE
    mov word [idt + (%1) * 8 + 4], 0x8e00
    shr eax, 16
    mov [idt + (%1) * 8 + 6], ax
%endmacro

on_irq13:
    push eax
    mov eax, [esp + 4]
    mov [irq_ip], eax
    inc dword [irqs]
    out 0xf0, al
    fld1                        ; waits, but for IGNNE#
    fnstsw ax
    mov [irq_sw], eax
    fnclex
    mov al, 0x20
    out 0xa0, al
    out 0x20, al
    pop eax
    iretd

on_timer:
    push eax
    mov eax, [esp + 4]
    mov [timer_ip], eax
    inc dword [timers]
    cmp dword [timer_clears], 0
    je .out
    fnclex
.out:
    mov dword [LAPIC + 0xb0], 0
    pop eax
    iretd

; The 8259s: bases 20H and 38H; al: mask of the second.
pics:
    push eax
    mov al, 0x11
    out 0x20, al
    out 0xa0, al
    mov al, 0x20
    out 0x21, al
    mov al, 0x38
    out 0xa1, al
    mov al, 4
    out 0x21, al
    mov al, 2
    out 0xa1, al
    mov al, 1
    out 0x21, al
    out 0xa1, al
    mov al, 0xfb
    out 0x21, al
    pop eax
    out 0xa1, al
    ret

; eax: 1 if the second 8259 has a request on input 5.
requested:
    mov al, 0x0a
    out 0xa0, al
    in al, 0xa0
    shr al, 5
    and eax, 1
    ret

%macro DIVIDE 0                 ; 1/0: ZE pending
    fninit
    fldcw [cw_ze]
    fld1
    fldz
    fdivp
%endmacro

%macro NE_IS 1
    mov eax, cr0
    and eax, ~NE
    or eax, %1
    mov cr0, eax
%endmacro

main:
    mov dword [LAPIC + 0xf0], 0x13f
    mov dword [LAPIC + 0x3e0], 11
    mov dword [LAPIC + 0x320], TIMER
    VECTOR TIMER, on_timer
    VECTOR IRQ13, on_irq13
    mov eax, cr0
    and eax, ~0x2c              ; EM, TS, NE
    or eax, 2
    mov cr0, eax
    call handled
    call stopped
    call driven
    ret

handled:
    mov al, 0xdf
    call pics
    BEGIN
    sti
    DIVIDE
.a:
    fld1
    cli
    RUNS "irq13"
    EQUALS "irq13_once", dword [irqs], 1
    EQUALS "irq13_ip", dword [irq_ip], .a
    mov eax, [irq_sw]
    and eax, 0xff
    EQUALS "irq13_sw", eax, 0x84
    fnstsw ax
    and eax, 0xff
    EQUALS "irq13_cleared", eax, 0
    BEGIN                       ; a second one is a second edge
    sti
    DIVIDE
    nop
    cli
    RUNS "irq13_again"
    EQUALS "irq13_twice", dword [irqs], 2
    ret

; IRQ 13 is masked: the waiting instruction stays where it is, whatever interrupts come.
stopped:
    mov al, 0xff
    call pics
    mov dword [timers], 0
    mov dword [timer_clears], 1
    BEGIN
    DIVIDE
    mov dword [LAPIC + 0x380], 5000
    sti
    nop
    fnstsw ax                   ; does not wait
.b:
    fld1
    cli
    RUNS "stop"
    EQUALS "stop_one_timer", dword [timers], 1
    EQUALS "stop_ip", dword [timer_ip], .b
    BEGIN                       ; WAIT stops too
    DIVIDE
    mov dword [LAPIC + 0x380], 5000
    sti
    nop
.c:
    wait
    cli
    RUNS "stop_wait"
    EQUALS "stop_wait_ip", dword [timer_ip], .c
    out 0xf0, al                ; FERR# is negated: no IGNNE#
    mov dword [timers], 0
    BEGIN
    DIVIDE
    mov dword [LAPIC + 0x380], 5000
    sti
    fld1
    cli
    RUNS "ignne_needs_ferr"
    EQUALS "ignne_needs_ferr_timer", dword [timers], 1
    BEGIN                       ; under IGNNE# it goes on, though the exception stays
    DIVIDE
    out 0xf0, al
    mov dword [timers], 0
    mov dword [LAPIC + 0x380], 5000
    sti
    fld1
    cli
    mov dword [LAPIC + 0x380], 0
    RUNS "ignne"
    EQUALS "ignne_no_timer", dword [timers], 0
    fnstsw ax
    and eax, 0x84
    EQUALS "ignne_pending", eax, 0x84
    fnclex                      ; FERR# falls, and IGNNE# with it
    mov dword [timers], 0
    BEGIN
    DIVIDE
    mov dword [LAPIC + 0x380], 5000
    sti
    fld1
    cli
    RUNS "ignne_fell"
    EQUALS "ignne_fell_timer", dword [timers], 1
    ret

; What drives FERR#, seen as a request at the second 8259 (all is masked).
driven:
    out 0xf0, al
    fninit
    call requested
    EQUALS "none", eax, 0
    DIVIDE
    call requested
    EQUALS "ferr", eax, 1
    fnclex
    call requested
    EQUALS "latched", eax, 1
    out 0xf0, al
    call requested
    EQUALS "port_f0", eax, 0
    NE_IS NE
    DIVIDE
    call requested
    EQUALS "ne", eax, 0
    NE_IS 0
    call requested
    EQUALS "ne_cleared", eax, 1
    NE_IS NE
    out 0xf0, al
    call requested
    EQUALS "ne_set", eax, 0
    NE_IS 0                     ; an edge again
    call requested
    EQUALS "ne_cleared_again", eax, 1
    fnstenv [env]               ; masks all: FERR# falls
    out 0xf0, al
    mov dword [env], 0x37f
    fldenv [env]
    call requested
    EQUALS "fldenv_masked", eax, 0
    mov dword [env], 0x37b
    fldenv [env]
    call requested
    EQUALS "fldenv", eax, 1
    fnclex
    out 0xf0, al
    ret
