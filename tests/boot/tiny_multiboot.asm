; The smallest multiboot kernel that firmware can be tried with: looks at what roms/multiboot.asm
; and the BIOS left for it, and ends the machine with 77 or the number of the check that failed.
; Multiboot Specification 0.6.96, 3.2 and 3.3.

        bits 32
        org 0x100000
header: dd 0x1badb002, 0x00010003, -(0x1badb002 + 0x00010003)
        dd header, header, 0, bss_end, start

%macro CHECK 1                  ; number: ZF, or it ends with it
        je %%ok
        mov eax, %1
        jmp exit
%%ok:
%endmacro

start:
        mov esp, stack
        cmp eax, 0x2badb002
        CHECK 1
        mov ebp, ebx
        mov eax, [ebp]
        and eax, 0x24d          ; memory, command line, modules, memory map, loader's name
        cmp eax, 0x24d
        CHECK 2
        cmp dword [bss], 0      ; cleared
        CHECK 3
        cmp dword [ebp + 20], 1 ; one module, its last byte and its arguments
        CHECK 4
        mov esi, [ebp + 24]
        mov edi, [esi + 4]
        sub edi, [esi]
        cmp edi, 9999
        CHECK 5
        mov edi, [esi + 4]
        cmp byte [edi - 1], 66
        CHECK 6
        mov edi, [ebp + 16]     ; the command line: " quiet" behind the kernel's name
        mov ecx, 4096
.space: cmp byte [edi], ' '
        je .word
        inc edi
        loop .space
.word:  cmp dword [edi + 1], "quie"
        CHECK 7

        ; The memory map is the BIOS's: the RAM from 1 MiB on ends where it keeps its tables.
        mov esi, [ebp + 48]
        mov ecx, esi
        add ecx, [ebp + 44]
        mov edi, 8
.entry: cmp esi, ecx
        mov eax, 8
        jae exit
        cmp dword [esi], 20
        CHECK 9
        cmp dword [esi + 4], 0x100000
        je .ram
        add esi, 24
        jmp .entry
.ram:   cmp dword [esi + 20], 1
        CHECK 10
        mov eax, [esi + 12]
        add eax, 0x100000
        cmp eax, 0xf00000       ; of 16 MiB
        mov ebx, 11
        jbe .bad
        cmp eax, 0x1000000
        jae .bad

        ; Interrupt vectors, timer and interrupt controller are set up.
        cmp word [8 * 4 + 2], 0xf000
        CHECK 12
        in al, 0x21
        test al, 1              ; the timer's interrupt is let through
        CHECK 13
        xor eax, eax
        out 0x43, al
        in al, 0x40
        mov bl, al
        in al, 0x40
        mov bh, al
        mov ecx, 5000
        loop $
        xor eax, eax
        out 0x43, al
        in al, 0x40
        mov cl, al
        in al, 0x40
        mov ch, al
        xor edx, edx
        cmp bx, cx              ; it counts
        sete dl
        test edx, edx
        CHECK 14
        mov eax, 77
        jmp exit
.bad:   mov eax, ebx
exit:   mov dx, 0xf4
        out dx, eax
        hlt
        jmp $ - 1

bss     equ $
stack   equ bss + 0x1000
bss_end equ bss + 0x2000
