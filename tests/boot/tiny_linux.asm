; tiny_linux.asm: a bzImage whose set-up code looks at what the boot loader left for it, after the
; Linux boot protocol (Documentation/arch/x86/boot.rst), and leaves through the exit device at port
; 0f4h: with 77 if all is right, else with the number of the check that failed.

        bits 16
        cpu 386
        org 0

SECTS   equ 2

        times 0x1f1 - ($ - $$) db 0
        db SECTS
        dw 0
        dd (image_end - kernel) / 16    ; syssize
        dw 0
vid_mode: dw 0
        dw 0, 0xaa55
        jmp short setup                 ; 0x200: where set-up code is entered, at CS:0
        db "HdrS"
        dw 0x20f
        times 0x211 - ($ - $$) db 0
        db 1                            ; loaded high
        times 0x218 - ($ - $$) db 0
ramdisk: dd 0
ramdisk_size: dd 0
        times 0x224 - ($ - $$) db 0
heap_end: dw 0
        dw 0
cmd_line: dd 0
        dd 0x37ffffff                   ; the highest address of an initrd
        dd 0x200000
        db 1                            ; relocatable
        times 0x238 - ($ - $$) db 0
        dd 2047
        times 0x258 - ($ - $$) db 0
        dq 0x200000                     ; pref_address
        dd 65536                        ; init_size
        times 0x268 - ($ - $$) db 0

setup:
        mov bl, 1
        cmp dword [cmd_line], 0x20000
        jne leave
        inc bx                          ; 2: the loader read "vga=788"
        cmp word [vid_mode], 788
        jne leave
        inc bx                          ; 3
        cmp word [heap_end], 0xfe00
        jne leave
        inc bx                          ; 4
        mov ax, ss
        cmp ax, 0x1000
        jne leave
        inc bx                          ; 5: the command line
        push word 0x2000
        pop es
        cmp dword [es:0], "quie"
        jne leave
        inc bx                          ; 6: the kernel, at 1 MiB
        push word 0xffff
        pop es
        cmp dword [es:0x10], "ABCD"
        jne leave
        inc bx                          ; 7
        cmp dword [ramdisk_size], 9999
        jne leave
        inc bx                          ; 8: below what firmware keeps of 16 MiB
        mov eax, [ramdisk]
        add eax, 9999
        cmp eax, 15 << 20
        ja leave
        inc bx                          ; 9: its last byte, by INT 15h AH=87h
        lea ecx, [eax - 1]
        mov [source + 2], cx
        shr ecx, 16
        mov [source + 4], cl
        push ds
        pop es
        mov si, table
        mov cx, 1
        mov ah, 0x87
        int 0x15
        jc leave
        cmp byte [copy], 66
        jne leave
        inc bx                          ; 10: the video BIOS has set a text mode
        mov ah, 0x0f
        int 0x10
        cmp al, 3
        jne leave
        mov bl, 77
leave:
        mov al, bl
        mov dx, 0xf4
        out dx, al
        hlt

        align 8, db 0
table:  times 2 dq 0
source: dw 0xffff, 0
        db 0, 0x93, 0, 0
        dw 0xffff, copy
        db 1, 0x93, 0, 0                ; this code is at 0x10000
        times 2 dq 0
copy:   dw 0

        times (SECTS + 1) * 512 - ($ - $$) db 0
kernel: db "ABCD"
        times 1024 - ($ - kernel) db 0
image_end:
