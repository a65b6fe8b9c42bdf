; multiboot.asm: an option ROM by which firmware starts the multiboot kernel that -kernel names.
;
; A BIOS runs it from fw_cfg ("genroms/multiboot.bin") and finds a boot entry vector in its Plug and
; Play header. The entry follows a script in fw_cfg, made by vm/boot_firmware.c: records of address,
; length and bytes, each to be put into memory; a length of 0 ends it, the address is then the
; kernel's entry. Then it asks the BIOS for the memory map, which only the BIOS knows, and enters
; the kernel in 32-bit protected mode.
;
; vm/boot_firmware.c fills in the checksum at the end.
;
; Sources: as for linuxboot.asm; Multiboot Specification 0.6.96, 3.2 and 3.3; ACPI 6.4, 15.1 (INT
; 15H, E820H).

        bits 16
        org 0
        cpu 386

SIZE    equ 512                 ; of this ROM
SCRIPT  equ 0x11                ; key: FW_CFG_KERNEL_DATA
STACK   equ 0x1000              ; kernels may be loaded from here on
INFO    equ 0x1000              ; segment of the boot information: BOOT_INFO of vm/boot.h
MMAP    equ 0x800               ; offset there of the memory map: MBI_MMAP_AT
MMAP_END equ 0xf00 - 24
MAGIC   equ 0x2badb002
SMAP    equ 0x534d4150

%include "pnp.inc"

name:   db "Kernel", 0

        align 8, db 0
gdt:    dq 0, 0                 ; selectors as with direct boot; accessed bits set: this is a ROM
        dq 0x00cf9b000000ffff   ; 0x10: code, 32-bit, flat
        dq 0x00cf93000000ffff   ; 0x18: data, flat
GDT_LIMIT equ $ - gdt - 1

boot:
        cli
        cld
        xor ax, ax
        mov ss, ax
        mov sp, STACK - FETCH_ROOM
        mov bp, sp

        mov ebx, SCRIPT << 16 | SELECT_READ
.record:
        movzx edi, bp
        add edi, 16
        mov ecx, 8
        call fetch_control
        mov edi, [bp + 16]      ; address
        mov ecx, [bp + 20]      ; length
        mov ebx, READ
        jecxz .loaded
        call fetch_control
        jmp .record
.loaded:
        push edi                ; the entry

        mov ax, INFO
        mov es, ax
        mov di, MMAP
        xor ebx, ebx
.map:
        mov dword [es:di], 20   ; bytes that follow
        add di, 4
        mov eax, 0xe820
        mov ecx, 20
        mov edx, SMAP
        int 0x15
        cli
        jc .last
        add di, 20
        cmp di, MMAP_END
        ja .mapped
        test ebx, ebx
        jnz .map
        jmp .mapped
.last:
        sub di, 4               ; the call after the last entry may fail instead
.mapped:
        movzx eax, di
        sub ax, MMAP
        mov [es:44], eax        ; mmap_length

        xor esi, esi
        mov si, cs
        shl esi, 4              ; where this is
        lea eax, [esi + gdt]
        push eax
        push word GDT_LIMIT
        mov bx, sp
        o32 lgdt [ss:bx]
        add sp, 6
        pop edi
        lea eax, [esi + prot]
        push dword 0x10
        push eax
        mov eax, cr0
        or al, 1
        mov cr0, eax
        o32 retf

        bits 32
prot:
        mov eax, 0x18
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov fs, eax
        mov gs, eax
        mov eax, MAGIC
        mov ebx, INFO << 4
        jmp edi

        bits 16
%include "fwcfg.inc"

        times SIZE - 1 - ($ - $$) db 0
        db 0                    ; checksum
