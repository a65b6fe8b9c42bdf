; boot.asm: from the reset vector to a kernel that was loaded into RAM (direct kernel boot).
;
; The last page below 4 GiB. vm/boot.c fills in the parameter block at its start, so that every
; reset, also one that the guest asks for, starts the kernel the way a boot loader would, on the
; real path: 16-bit real mode at ffff:fff0, then protected mode, then long mode if asked.
;
; What a kernel finds: flat segments in the GDT below (selectors 0x10 code, 0x18 data, as the Linux
; boot protocol wants), interrupts off, A20 open, EAX EBX ESI from the block, EBP and EDI zero.
; Descriptors have their accessed bit set: the GDT is in ROM.

        bits 16
        org 0xf000
base    equ 0xffff0000          ; CS base after reset (SDM 3A 9.1.4): linear = base + offset

; struct boot_params of vm/boot.h: little-endian, in this order.
kind:   dd 0                    ; 0: nothing to boot; 1: 32-bit entry; 2: 64-bit entry
r_eax:  dd 0
r_ebx:  dd 0
r_esi:  dd 0
r_cr3:  dd 0                    ; page tables for the 64-bit entry
        dd 0
entry:  dq 0

        align 8
gdt32:  dq 0, 0
        dq 0x00cf9b000000ffff   ; 0x10: code, 32-bit, flat
        dq 0x00cf93000000ffff   ; 0x18: data, flat
gdt64:  dq 0, 0
        dq 0x00af9b000000ffff   ; 0x10: code, 64-bit
        dq 0x00cf93000000ffff   ; 0x18
idtr0:  dw 0                    ; no handlers: an exception ends in a reset
        dd 0
gdtr32: dw 31
        dd base + gdt32
gdtr64: dw 31
        dd base + gdt64

start:
        cli
        cld
        in al, 0x92             ; open A20 (port 92h, bit 1), no reset (bit 0)
        or al, 2
        and al, 0xfe
        out 0x92, al
        cmp dword [cs:kind], 0
        je nothing
        o32 lidt [cs:idtr0]
        o32 lgdt [cs:gdtr32]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp dword 0x10:base + prot

nothing:
        hlt
        jmp nothing

        bits 32
prot:
        mov eax, 0x18
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov fs, eax
        mov gs, eax
        xor ebp, ebp
        xor edi, edi
        xor edx, edx
        xor ecx, ecx
        mov esp, 0x7c00
        mov ebx, [base + r_ebx]
        mov esi, [base + r_esi]
        cmp dword [base + kind], 2
        je long64
        mov eax, [base + r_eax]
        jmp dword [base + entry]

long64:
        lgdt [base + gdtr64]
        mov eax, cr4
        or eax, 1 << 5          ; PAE
        mov cr4, eax
        mov eax, [base + r_cr3]
        mov cr3, eax
        mov ecx, 0xc0000080     ; EFER.LME
        rdmsr
        or eax, 1 << 8
        wrmsr
        mov eax, cr0
        or eax, 1 << 31
        mov cr0, eax
        jmp dword 0x10:base + code64

        bits 64
code64:
        mov rsp, 0x7c00
        mov eax, dword base     ; zero-extended: a flat 64-bit address
        mov rcx, [rax + entry]
        mov eax, [rax + r_eax]
        xor edx, edx
        jmp rcx

        times 0xfff0 - 0xf000 - ($ - $$) db 0xf4
        bits 16
        jmp start               ; the reset vector
        times 0x1000 - ($ - $$) db 0xf4
