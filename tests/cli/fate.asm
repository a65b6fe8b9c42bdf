; fate.asm: a multiboot kernel that meets the end its command line's last letter names, for tests of
; machines side by side:
;     t  triple fault at once
;     p  power off, by the PIIX4's PM1 control register
;     r  reset by the keyboard controller, twice (a count in CMOS RAM survives), then power off
;     s  survive: compute for long, say so on the first serial port, power off

        bits 32
        org 0x100000

MAGIC   equ 0x1badb002
FLAGS   equ 0x10003
PM1_CNT equ 0x604
COUNT   equ 0x50                ; in CMOS RAM

        dd MAGIC, FLAGS, -(MAGIC + FLAGS)
        dd 0x100000, 0x100000, 0, 0, start

start:
        mov esi, [ebx + 16]
.end:
        lodsb
        cmp al, 0
        jne .end
        mov al, [esi - 2]
        cmp al, "p"
        je off
        cmp al, "r"
        je reboots
        cmp al, "s"
        je survive
        lidt [none]
        int3
none:   dw 0
        dd 0

reboots:
        mov al, COUNT
        out 0x70, al
        in al, 0x71
        cmp al, 2
        jae off
        inc al
        mov ah, al
        mov al, COUNT
        out 0x70, al
        mov al, ah
        out 0x71, al
        mov al, 0xfe
        out 0x64, al
        hlt

survive:
        mov ecx, 20000000
        mov eax, 1
.next:
        imul eax, 1664525
        add eax, 1013904223
        mov [place], eax
        loop .next
        mov esi, alive
.say:
        mov dx, 0x3fd
.busy:
        in al, dx
        test al, 0x20
        jz .busy
        mov dx, 0x3f8
        outsb
        cmp esi, alive_end
        jb .say
off:
        mov dx, PM1_CNT
        mov ax, 0x2000          ; sleep type 0 is S5 on the PIIX4, and enable
        out dx, ax
        hlt

alive:  db "alive", 10
alive_end:
place:  dd 0
