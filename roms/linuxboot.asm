; linuxboot.asm: an option ROM by which firmware starts the kernel that -kernel names.
;
; A BIOS runs it from fw_cfg ("genroms/linuxboot.bin") and finds a boot entry vector in its Plug and
; Play header. The entry fetches the kernel's parts to where vm/boot_firmware.c says, by fw_cfg's
; DMA, and enters the kernel's own set-up code in real mode, which asks the BIOS for memory and
; sets the video mode: everything that direct boot leaves out.
;
; vm/boot_firmware.c fills in the checksum at the end. 386 code, as every bzImage needs one.
;
; Sources: those of pnp.inc; Linux Documentation/arch/x86/boot.rst, "Running the Kernel"; QEMU,
; docs/specs/fw_cfg (keys).

        bits 16
        org 0
        cpu 386

SIZE    equ 512                 ; of this ROM
SETUP   equ 0x1000              ; segment of the set-up code: SETUP_ADDR of vm/boot_firmware.c
STACK   equ 0xfff0              ; below the command line at 2000:0

%include "pnp.inc"

name:   db "Linux kernel", 0

; Addresses and lengths are items, so that this knows nothing about the kernel.
items:  db 0x16, 0x17, 0x18     ; keys of address, size and data: set-up code,
        db 0x13, 0x14, 0x15     ; command line,
        db 0x07, 0x08, 0x11     ; the kernel,
        db 0x0a, 0x0b, 0x12     ; initial RAM disk
items_end:

boot:
        cli
        cld
        xor ax, ax
        mov ss, ax
        mov sp, 0x7c00
        sub sp, FETCH_ROOM
        mov bp, sp
        push cs
        pop ds
        mov si, items
.next:
        movzx ebx, byte [si]
        call number
        push eax                ; the address
        movzx ebx, byte [si + 1]
        call number
        mov ecx, eax            ; the size
        pop edi
        movzx ebx, byte [si + 2]
        jecxz .none
        call fetch
.none:
        add si, 3
        cmp si, items_end
        jb .next

        mov ax, SETUP
        mov ds, ax
        mov es, ax
        mov fs, ax
        mov gs, ax
        mov ss, ax
        mov sp, STACK
        jmp SETUP + 0x20:0

; EAX: the 32-bit number in the item EBX. Changes EBX, ECX, EDI, DX.
number:
        movzx edi, bp
        add edi, 16
        mov ecx, 4
        call fetch
        mov eax, [bp + 16]
        ret

%include "fwcfg.inc"

        times SIZE - 1 - ($ - $$) db 0
        db 0                    ; checksum
