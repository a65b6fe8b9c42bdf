; A guest that does what it is told: a multiboot kernel that takes orders of 8 bytes at COM1 and
; answers each with 4. tests/lib/robot.c gives them. Interrupts are off; everything is polled.
;
;   i PL PH              read a port               value, 0, 0, 0
;   o PL PH V            write a port              0, 0, 0, 0
;   A DEV CMD N L0 L1 L2 ATA command, data in      status, error, first byte of the last sector,
;                                                  1 if all its bytes are the same
;   W DEV CMD L0 L1 L2 V the same with one sector of data out, all V
;   P DEV C0 C4 C5 C8    packet, data in           status, error, bytes 2 and 12 of the data
;   M V N                fill N MiB from 2 MiB on   0, 0, 0, 0
;   B N                  be busy for a little over N << 20 instructions: fill 1 MiB N times, which
;                        costs a host next to nothing (REP counts an instruction per element)
;                                                   0, 0, 0, 0
;   H N0 N1              halt through N ticks of the PIT at 1 kHz: the largest step of the TSC
;                        from one to the next, in units of 1024
;   X                    shut down (triple fault)   no answer
;   F W D C H R V        floppy sector (W 1: write V)  ST0, ST1, ST2, first byte
;
; DEV is the device register; bit 7 clear: the secondary channel.

        bits 32
        org 0x100000
BUF     equ 0x80000                     ; sectors, also by ISA DMA
COM1    equ 0x3f8

image:  jmp entry
        align 4
header: dd 0x1badb002, 0x00010000, -(0x1badb002 + 0x00010000)
        dd header, image, image_end, bss_end, entry

%macro outp 2
        mov dx, %1
        mov al, %2
        out dx, al
%endmacro
%macro pci 2                            ; function 1 of the PIIX3: register, doubleword
        mov dx, 0xcf8
        mov eax, 0x80000900 + %1
        out dx, eax
        mov dl, 0xfc
        mov eax, %2
        out dx, eax
%endmacro

entry:  cld
        mov esp, stack
        pci 0x04, 5                     ; I/O and bus master
        pci 0x40, 0x80008000            ; both channels decode
        outp COM1 + 3, 0x83
        outp COM1, 1                    ; 115200 baud
        outp COM1 + 3, 3
        outp COM1 + 2, 7
        outp COM1 + 4, 3
        outp 0x3f2, 0x1c                ; floppy A turns, controller runs
        mov eax, 'R'                    ; ready
        jmp answer

serve:  mov edi, order
        mov ecx, 8
.byte:  mov dx, COM1 + 5
.wait:  in al, dx
        test al, 1
        jz .wait
        mov dl, COM1 & 0xff
        in al, dx
        stosb
        loop .byte
        mov al, [order]
        cmp al, 'i'
        je read_port
        cmp al, 'o'
        je write_port
        cmp al, 'P'
        je packet
        cmp al, 'F'
        je floppy
        cmp al, 'M'
        je fill
        cmp al, 'B'
        je busy
        cmp al, 'H'
        je ticks
        cmp al, 'X'
        jne ata
        lidt [none]
        int3
none:   dw 0
        dd 0

; The only place where interrupts are on.
ticks:  mov word [idt + 8 * 32], on_tick - image
        mov word [idt + 8 * 32 + 2], cs
        mov dword [idt + 8 * 32 + 4], 0x00108e00
        lidt [idtr]
        outp 0x20, 0x11                 ; interrupts from 32 on
        outp 0x21, 32
        outp 0x21, 4
        outp 0x21, 1
        outp 0x21, 0xfe                 ; of the PIT only
        outp 0x43, 0x34
        outp 0x40, 1193 & 255
        outp 0x40, 1193 >> 8
        movzx ecx, word [order + 1]
        xor ebp, ebp
        sti
        hlt
        rdtsc
        mov ebx, eax
.tick:  hlt
        rdtsc
        mov edx, eax
        sub eax, ebx
        mov ebx, edx
        cmp eax, ebp
        jbe .less
        mov ebp, eax
.less:  loop .tick
        cli
        mov eax, ebp
        shr eax, 10
        jmp answer
on_tick:
        push eax
        mov al, 0x20
        out 0x20, al
        pop eax
        iret
idtr:   dw 33 * 8 - 1
        dd idt

fill:   movzx ecx, byte [order + 2]
        shl ecx, 20
        mov al, [order + 1]
        mov edi, 0x200000
        rep stosb
        xor eax, eax
        jmp answer

busy:   movzx ebx, byte [order + 1]
        xor eax, eax
.next:  mov edi, 0x200000
        mov ecx, 1 << 20
        rep stosb
        dec ebx
        jnz .next
        jmp answer

answer: mov ecx, 4                      ; eax
        mov ebx, eax
.byte:  mov dx, COM1 + 5
.wait:  in al, dx
        test al, 0x20
        jz .wait
        mov dl, COM1 & 0xff
        mov al, bl
        out dx, al
        shr ebx, 8
        loop .byte
        jmp serve

read_port:
        mov dx, [order + 1]
        in al, dx
        movzx eax, al
        jmp answer
write_port:
        mov dx, [order + 1]
        mov al, [order + 3]
        out dx, al
        xor eax, eax
        jmp answer

; --- ATA ---

ready:  mov dx, [base]                  ; al: status without BSY
        add dx, 7
.busy:  in al, dx
        test al, 0x80
        jnz .busy
        ret
select: mov word [base], 0x1f0
        mov al, [order + 1]
        test al, 0x80
        jnz .first
        mov word [base], 0x170
.first: or al, 0x80
        push eax
        call ready
        pop eax
        dec dx
        out dx, al
        jmp ready

ata:    call select
        mov dx, [base]
        mov al, [order + 3]
        cmp byte [order], 'W'
        jne .count
        mov edi, BUF
        mov al, [order + 6]
        mov ecx, 512
        rep stosb
        mov al, 1
.count: add dx, 2
        out dx, al
        mov esi, order + 4
        cmp byte [order], 'W'
        jne .lba
        dec esi
.lba:   mov ecx, 3
.next:  inc dx
        lodsb
        out dx, al
        loop .next
        mov al, [order + 2]
        add dx, 2
        out dx, al
.turn:  call ready
        test al, 0x21
        jnz .done
        test al, 8
        jz .done
        mov dx, [base]
        mov ecx, 256
        cmp byte [order], 'W'
        je .out
        mov edi, BUF
        rep insw
        jmp .turn
.out:   mov esi, BUF
        rep outsw
        jmp .turn
.done:  call ready
        mov bl, al
        mov dx, [base]
        inc dx
        in al, dx
        mov bh, al
        mov al, [BUF]
        mov edi, BUF
        mov ecx, 512
        repe scasb
        sete ah
        shl eax, 16
        mov ax, bx
        jmp answer

packet: call select
        mov dx, [base]
        add dx, 4
        mov ax, 0x00fe                  ; byte count limit
        out dx, al
        inc dx
        mov al, ah
        out dx, al
        add dx, 2
        mov al, 0xa0
        out dx, al
        call ready
        mov esi, order + 2
        mov edi, cdb
        movsb
        add edi, 3
        movsb
        movsb
        add edi, 2
        movsb
        mov dx, [base]
        mov esi, cdb
        mov ecx, 6
        rep outsw
        mov edi, BUF
.turn:  call ready
        test al, 8
        jz .done
        mov dx, [base]
        add dx, 5
        in al, dx
        mov ah, al
        dec dx
        in al, dx
        movzx ecx, ax
        inc ecx
        shr ecx, 1
        sub dx, 4
        rep insw
        jmp .turn
.done:  mov bl, al
        mov dx, [base]
        inc dx
        in al, dx
        mov bh, al
        mov al, [BUF + 2]
        mov ah, [BUF + 12]
        shl eax, 16
        mov ax, bx
        jmp answer

; --- Floppy, by DMA channel 2 ---

fdc_in: mov dx, 0x3f4                   ; al: the next result byte
.wait:  in al, dx
        and al, 0xc0
        cmp al, 0xc0
        jne .wait
        inc dx
        in al, dx
        ret
fdc_out:                                ; al
        mov ah, al
        mov dx, 0x3f4
.wait:  in al, dx
        and al, 0xc0
        cmp al, 0x80
        jne .wait
        inc dx
        mov al, ah
        out dx, al
        ret
%macro fdc 1
        mov al, %1
        call fdc_out
%endmacro

; Wait for the end of a seek.
sensed: fdc 8
        call fdc_in
        cmp al, 0x80
        je sensed                       ; nothing yet
        push eax
        call fdc_in
        pop eax
        test al, 0x20
        jz sensed                       ; polling after the reset
        ret

floppy: fdc 3                           ; SPECIFY
        fdc 0xdf
        fdc 2
        outp 0x3f7, 0                   ; 500 kbit/s
        fdc 15                          ; SEEK
        mov al, [order + 4]
        shl al, 2
        or al, [order + 2]
        call fdc_out
        fdc [order + 3]
        call sensed
        mov edi, BUF
        mov al, [order + 6]
        mov ecx, 512
        rep stosb
        mov bl, 0x46                    ; DMA: to memory; READ DATA
        mov bh, 0x46
        cmp byte [order + 1], 1
        jne .mode
        mov bl, 0x4a
        mov bh, 0x45
.mode:  outp 0x0a, 6
        outp 0x0c, 0
        outp 0x0b, bl
        outp 0x04, BUF & 0xff
        outp 0x04, BUF >> 8 & 0xff
        outp 0x81, BUF >> 16
        outp 0x05, 0xff
        outp 0x05, 1
        outp 0x0a, 2
        fdc bh
        mov al, [order + 4]
        shl al, 2
        or al, [order + 2]
        call fdc_out
        fdc [order + 3]
        fdc [order + 4]
        fdc [order + 5]
        fdc 2
        fdc [order + 5]                 ; the last sector
        fdc 27
        fdc 255
        mov edi, results
        mov ecx, 7
.next:  push ecx
        call fdc_in
        pop ecx
        stosb
        loop .next
        mov eax, [results]
        shl eax, 8
        mov al, [BUF]
        ror eax, 8
        jmp answer

        align 4
base:   dw 0
order:  times 8 db 0
cdb:    times 12 db 0
results: times 8 db 0
image_end:
        absolute image_end - image + 0x100000
        resb 1024
stack:
idt:    resb 33 * 8
bss_end:
