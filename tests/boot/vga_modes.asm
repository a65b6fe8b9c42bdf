; A boot sector that sets the mode at `mode` (int 10h, or VBE from 100h on) and draws by the BIOS:
; two slanting lines of dots in a graphics mode, then text. Ends with a mark at 600h and HLT.
bits 16
org 0x7c00
start:
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7c00
    mov bx, [mode]
    mov ax, bx
    cmp bx, 0x100
    jb .legacy
    mov ax, 0x4f02
.legacy:
    int 0x10
    cmp word [lines], 0
    je .text
    xor cx, cx
.dot:
    mov dx, cx
    cmp dx, [lines]
    jae .text
    mov ax, cx
    shr ax, 2
    mov ah, 0x0c
    xor bh, bh
    int 0x10
    push cx
    add cx, 30
    mov ax, 0x0c02
    int 0x10
    pop cx
    inc cx
    jmp .dot
.text:
    mov si, message
.next:
    lodsb
    test al, al
    jz .colored
    mov ah, 0x0e
    mov bx, 3
    int 0x10
    jmp .next
.colored:
    mov ax, 0x0941
    mov bx, 0x9f
    mov cx, 5
    int 0x10
    mov word [0x600], 0x5aa5
.halt:
    hlt
    jmp .halt
message: db "Mode: 0123456789 ", 0xc9, 0xcd, 0xcd, 0xbb, 13, 10, "second line", 0
    times 506 - ($ - $$) db 0
mode:  dw 3
lines: dw 0
    dw 0xaa55
