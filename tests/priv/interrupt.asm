; Interrupts from a device between and within instructions: REP interrupted half way, STI's shadow,
; HLT. The PIT's channel 0 through the 8259 at IRQ 0, vector 0x20. SDM 3A 6.8; 2 (REP, STI, HLT).
%include "lib.inc"

TICK    equ 0x20
SRC     equ 0x400000
DST     equ 0x800000
LEN     equ 0x400000

main:
    mov eax, tick
    mov [idt + TICK * 8], ax
    shr eax, 16
    mov [idt + TICK * 8 + 6], ax
    mov al, 0x11                    ; both 8259s: edge, cascade, vectors 0x20 and 0x28
    out 0x20, al
    out 0xa0, al
    mov al, TICK
    out 0x21, al
    mov al, TICK + 8
    out 0xa1, al
    mov al, 4
    out 0x21, al
    mov al, 2
    out 0xa1, al
    mov al, 1
    out 0x21, al
    out 0xa1, al
    mov al, 0xfe                    ; IRQ 0 only
    out 0x21, al
    mov al, 0xff
    out 0xa1, al
    mov al, 0x34                    ; channel 0, mode 2, about 0.1 ms
    out 0x43, al
    mov al, 120
    out 0x40, al
    mov al, 0
    out 0x40, al

    ; Something to copy.
    mov edi, SRC
    mov ecx, LEN / 4
    mov eax, 0x12345678
.fill:
    stosd
    imul eax, eax, 1664525
    add eax, 1013904223
    loop .fill

    ; REP MOVSB, with interrupts coming: each sees it whole iterations further, RF set, and at last
    ; everything is there.
    call reset
    mov dword [at_rep], .rep
    mov esi, SRC
    mov edi, DST
    mov ecx, LEN
    sti
.rep:
    rep movsb
    cli
    EQUALS "rep_movsb_ecx", ecx, 0
    EQUALS "rep_movsb_edi", edi, DST + LEN
    cmp dword [hits], 3
    setae al
    movzx eax, al
    EQUALS "rep_movsb_was_interrupted", eax, 1
    EQUALS "rep_movsb_whole_iterations", dword [bad], 0
    EQUALS "rep_movsb_rf_pushed", dword [no_rf], 0
    mov esi, SRC
    mov edi, DST
    mov ecx, LEN / 4
    repe cmpsd
    EQUALS "rep_movsb_copied", ecx, 0

    ; REPE CMPSB keeps comparing where it was.
    call reset
    mov dword [at_rep], .cmp
    inc byte [DST + LEN - 5]
    mov esi, SRC
    mov edi, DST
    mov ecx, LEN
    sti
.cmp:
    repe cmpsb
    cli
    EQUALS "rep_cmpsb_ecx", ecx, 4
    EQUALS "rep_cmpsb_whole_iterations", dword [bad], 0

    ; STI holds interrupts back for one instruction, and only if IF was clear.
    call wait_pending
    call reset
    sti
.shadow:
    nop
.first:
    nop
    nop
    cli
    EQUALS "sti_shadow", dword [last_ip], .first
    ; STI CLI lets nothing in.
    call wait_pending
    call reset
    sti
    cli
    EQUALS "sti_cli", dword [ticks], 0
    ; MOV SS holds them back too.
    call wait_pending
    call reset
    mov eax, ss
    sti
    mov ss, ax                      ; in the shadow of STI, and one of its own
    nop
.after:
    nop
    cli
    EQUALS "mov_ss_shadow", dword [last_ip], .after
    ; POPF that sets IF does not.
    call wait_pending
    call reset
    pushfd
    or dword [esp], 0x200
    popfd
.popf:
    nop
    cli
    EQUALS "popf_no_shadow", dword [last_ip], .popf

    ; HLT goes on behind itself, also with STI just before it.
    call reset
    sti
    hlt
.halted:
    cli
    EQUALS "hlt_ip", dword [last_ip], .halted
    mov dword [ticks], 0
    mov ecx, 5
.halts:
    sti
    hlt
    cli
    loop .halts
    EQUALS "hlt_five_times", dword [ticks], 5
    ret

; Until a tick is waiting at the 8259, with interrupts off.
wait_pending:
    mov al, 0x0a                    ; read IRR
    out 0x20, al
.next:
    in al, 0x20
    test al, 1
    jz .next
    ret

reset:
    mov dword [ticks], 0
    mov dword [hits], 0
    mov dword [bad], 0
    mov dword [no_rf], 0
    mov dword [at_rep], 0
    ret

tick:
    push eax
    push edx
    inc dword [ticks]
    mov eax, [esp + 8]
    mov [last_ip], eax
    cmp eax, [at_rep]
    jne .end
    cmp ecx, LEN                    ; not begun: nothing to see yet
    je .end
    inc dword [hits]
    mov edx, SRC + LEN              ; ESI, EDI and ECX agree
    sub edx, ecx
    cmp edx, esi
    je .esi
    inc dword [bad]
.esi:
    add edx, DST - SRC
    cmp edx, edi
    je .edi
    inc dword [bad]
.edi:
    test dword [esp + 16], 0x10000
    jnz .end
    inc dword [no_rf]
.end:
    mov al, 0x20
    out 0x20, al
    pop edx
    pop eax
    iretd
section .data
align 4
ticks: dd 0
hits: dd 0
bad: dd 0
no_rf: dd 0
at_rep: dd 0
last_ip: dd 0
section .text
