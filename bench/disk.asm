; disk.asm: a hard disk whose boot sector loads bench/compute.asm's code to 0x100000 and enters it
; in 32-bit protected mode. For emulators that start with a BIOS; 16 heads of 63 sectors.
;
; nasm -f bin -DCOMPUTE='"compute.bin"' makes the whole disk image.

        org 0x7c00
        bits 16
SECTORS equ (compute_end - compute + 511) / 512

        cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7c00
        mov [drive], dl
        sti
        ; INT 13h, AH=42h: extended read of SECTORS sectors from sector 1 to 0x10000.
        mov si, packet
        mov ah, 0x42
        mov dl, [drive]
        int 0x13
        jc fail
        in al, 0x92             ; A20
        or al, 2
        and al, 0xfe
        out 0x92, al
        cli
        lgdt [gdt_ptr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp 8:flat
fail:   mov al, '!'
        out 0xe9, al
        hlt
        jmp fail

        bits 32
flat:   mov ax, 16
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov esi, 0x10000
        mov edi, 0x100000
        mov ecx, SECTORS * 128
        cld
        rep movsd
        mov eax, 0x100000
        jmp eax

        align 8
gdt:    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_ptr:
        dw $ - gdt - 1
        dd gdt
packet: db 16, 0
        dw SECTORS
        dw 0, 0x1000            ; 1000:0000
        dq 1
drive:  db 0
        times 510 - ($ - $$) db 0
        dw 0xaa55
compute:
        incbin COMPUTE
compute_end:
        ; A whole number of cylinders: one, 16 * 63 * 512 bytes.
        times 16 * 63 * 512 - ($ - $$) db 0
