; A boot sector for bench/screen.c: sets a mode (VBE from 100h on), then does `count` rounds of a
; counting loop, each followed by painting the whole screen anew if `paint` says how: 1 text at
; b8000h, 2 mode 13h, 3 by `banks` banks of Bochs' VBE. Marks at 600h: 1111h at the first round,
; 2222h at the end.
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
    cmp byte [cursor], 0
    jne .keep
    mov ah, 1
    mov cx, 0x2000
    int 0x10
.keep:
    mov si, message
.next:
    lodsb
    test al, al
    jz .said
    mov ah, 0x0e
    mov bx, 7
    int 0x10
    jmp .next
.said:
    cld
    mov word [0x600], 0x1111
round:
    mov ecx, 5000000            ; ten million instructions
.spin:
    dec ecx
    jnz .spin
    mov eax, 0x01010101
    add [value], eax
    mov eax, [value]
    cmp byte [paint], 1
    jb .painted
    je .text
    cmp byte [paint], 2
    je .graphics
    xor bx, bx
.bank:
    mov dx, 0x1ce
    mov ax, 5
    out dx, ax
    inc dx
    mov ax, bx
    out dx, ax
    mov ax, 0xa000
    mov es, ax
    xor di, di
    mov ecx, 0x4000
    mov eax, [value]
    rep stosd
    inc bx
    cmp bx, [banks]
    jb .bank
    jmp .painted
.text:
    mov cx, 0xb800
    mov es, cx
    xor di, di
    mov cx, 1000
    rep stosd
    jmp .painted
.graphics:
    mov cx, 0xa000
    mov es, cx
    xor di, di
    mov cx, 16000
    rep stosd
.painted:
    dec word [count]
    jnz round
    mov word [0x600], 0x2222
.halt:
    hlt
    jmp .halt
message: db "A still screen", 13, 10, 0
value: dd 0x07410741
    times 500 - ($ - $$) db 0
mode:   dw 3
banks:  dw 0
count:  dw 100
cursor: db 1
paint:  db 0
    dw 0
    dw 0xaa55
