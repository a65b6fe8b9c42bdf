; linuxboot.asm: an option ROM by which firmware starts the kernel that -kernel names.
;
; A BIOS runs it from fw_cfg ("genroms/linuxboot.bin") and finds a boot entry vector in its Plug and
; Play header. The entry fetches the kernel's parts to where vm/boot_firmware.c says, by fw_cfg's
; DMA, and enters the kernel's own set-up code in real mode, which asks the BIOS for memory and
; sets the video mode: everything that direct boot leaves out.
;
; vm/boot_firmware.c fills in the checksum at the end. 386 code, as every bzImage needs one.
;
; Sources: Plug and Play BIOS Specification 1.0A, 3.2 (expansion header); BIOS Boot Specification
; 1.01, 3.3 (BEV); Linux Documentation/arch/x86/boot.rst, "Running the Kernel"; QEMU,
; docs/specs/fw_cfg (keys).

        bits 16
        org 0
        cpu 386

SIZE    equ 512                 ; of this ROM
SETUP   equ 0x1000              ; segment of the set-up code: SETUP_ADDR of vm/boot_firmware.c
STACK   equ 0xfff0              ; below the command line at 2000:0

        dw 0xaa55
        db SIZE / 512
        retf                    ; nothing to initialize
        times 0x1a - ($ - $$) db 0
        dw pnp

        align 16, db 0
pnp:    db "$PnP", 1, 2         ; revision; length in 16 bytes
        dw 0                    ; no other header
        db 0
        db -(0x24 + 0x50 + 0x6e + 0x50 + 1 + 2 + 0x06 + 0x64 + (name - $$) + (boot - $$)) & 0xff
        dd 0                    ; device
        dw 0, name              ; manufacturer, product
        db 0, 0, 0x06           ; type: other bridge or system device
        db 0x64                 ; can be a boot device; may be moved; read cacheable
        dw 0, 0, boot, 0, 0     ; no boot connection, no disconnect, the boot entry

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
