; linux.asm: a hard disk whose boot sector loads a Linux bzImage and an initrd, for emulators that
; start with a BIOS. The Linux/x86 boot protocol 2.06 and later (Documentation/x86/boot.rst).
;
; nasm -f bin -DKERNEL='"vmlinuz"' -DINITRD='"initrd"' -DSETUP=N -DCMDLINE='"console=..."'
; where N is the kernel's setup_sects (byte 0x1f1 of the file).
;
; Sectors are read to 0x10000 and copied to their place above 1 MiB through FS with a 4 GiB limit.

        org 0x7c00
        bits 16
CHUNK   equ 64                  ; sectors for one read
INITRD_AT equ 0x8000000

start:  cli
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7c00
        mov [drive], dl
        sti
        in al, 0x92             ; A20
        or al, 2
        and al, 0xfe
        out 0x92, al

        ; The real-mode part to 0x90000, in two reads of at most 32 KiB.
        mov word [packet + 6], 0x9000
        mov word [packet + 2], SETUP + 1
        call read
        add dword [packet + 8], SETUP + 1

        mov word [packet + 6], 0x1000
        mov word [packet + 2], CHUNK
        mov edi, 0x100000
        mov ecx, KERNEL_CHUNKS
        call load
        mov dword [packet + 8], (initrd - start) / 512
        mov edi, INITRD_AT
        mov ecx, INITRD_CHUNKS
        call load

        mov ax, 0x9000
        mov es, ax
        mov byte [es:0x210], 0xff               ; type_of_loader
        or byte [es:0x211], 0x80                ; CAN_USE_HEAP
        mov word [es:0x224], 0xfe00 - 0x200     ; heap_end_ptr
        mov dword [es:0x218], INITRD_AT
        mov dword [es:0x21c], initrd_end - initrd
        mov dword [es:0x228], cmdline           ; cmd_line_ptr, in this sector
        mov al, 'K'                             ; the benchmark's clock starts here
        out 0xe9, al
        mov al, 10
        out 0xe9, al
        mov ax, 0x9000
        cli
        mov ds, ax
        mov fs, ax
        mov gs, ax
        mov ss, ax
        mov sp, 0xfe00
        jmp 0x9020:0

; load: ECX chunks from the packet's sector to EDI.
load:   push ecx
        call read
        add dword [packet + 8], CHUNK
        cli
        lgdt [gdt_ptr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        mov bx, 8
        mov fs, bx
        and al, 0xfe
        mov cr0, eax
        xor bx, bx
        mov fs, bx
        mov esi, 0x10000
        mov ecx, CHUNK * 128
.copy:  mov eax, [fs:esi]
        mov [fs:edi], eax
        add esi, 4
        add edi, 4
        dec ecx
        jnz .copy
        sti
        pop ecx
        dec ecx
        jnz load
        ret

; read: the packet, by INT 13h AH=42h.
read:   pushad
        mov si, packet
        mov ah, 0x42
        mov dl, [drive]
        int 0x13
        jc .fail
        popad
        ret
.fail:  mov al, '!'
        out 0xe9, al
        hlt
        jmp .fail

        align 8
gdt:    dq 0, 0x008f92000000ffff
gdt_ptr:
        dw 15
        dd gdt
packet: db 16, 0
        dw 0
        dw 0, 0
        dq 1
drive:  db 0
cmdline:
        db CMDLINE, 0
        times 510 - ($ - $$) db 0
        dw 0xaa55

kernel: incbin KERNEL
kernel_end:
        align 512, db 0
        ; Reads go to the end of a chunk; there is always something behind.
KERNEL_CHUNKS equ (kernel_end - kernel - (SETUP + 1) * 512 + CHUNK * 512 - 1) / (CHUNK * 512)
        times CHUNK * 512 db 0
initrd: incbin INITRD
initrd_end:
INITRD_CHUNKS equ (initrd_end - initrd + CHUNK * 512 - 1) / (CHUNK * 512)
        times CHUNK * 512 db 0
        ; Whole cylinders of 16 heads and 63 sectors.
        times 16 * 63 * 512 - ($ - $$) % (16 * 63 * 512) db 0
