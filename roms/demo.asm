; demo.asm: what runs when doppel is started with nothing else, so that a build is seen to work with
; no file and no package. 16-bit code of the 8086, so that it runs on every CPU model.
;
; Prints a banner and a few self-checks on the first serial port and the debug console, then halts
; with interrupts off, which ends the run with exit status 0. After a failed check it writes 0 to
; the exit device (port 501h, there with the demo only), which makes the status 1.

        bits 16
        org 0xe000
        cpu 8086

com1    equ 0x3f8
exit_port equ 0x501

start:
        cli
        cld
        xor ax, ax
        mov ss, ax
        mov sp, 0x7c00
        xor bp, bp              ; not 0: a check failed
        mov ax, cs              ; f000 after the far jump below
        mov ds, ax
        mov dx, com1 + 3        ; 115200 8n1 (16550 data sheet: DLAB, divisor, LCR)
        mov al, 0x80
        out dx, al
        mov dx, com1
        mov al, 1
        out dx, al
        inc dx
        xor al, al
        out dx, al
        mov dx, com1 + 3
        mov al, 3
        out dx, al

        mov si, banner
        call puts
        mov si, t_alu
        call puts
        call check_alu
        call verdict
        mov si, t_mem
        call puts
        call check_mem
        call verdict
        mov si, t_int
        call puts
        call check_int
        call verdict
        mov si, t_pit
        call puts
        call check_pit
        call verdict
        or bp, bp
        jz .good
        mov dx, exit_port
        xor al, al
        out dx, al
.good:  mov si, bye
        call puts
        mov dx, com1 + 5
.sent:  in al, dx
        test al, 0x40           ; TEMT: the last character has left
        jz .sent
stop:
        hlt
        jmp stop

; Each check leaves carry set if it failed.
check_alu:
        mov ax, 12345
        mov bx, 321
        mul bx                  ; 3962745 = 003c:7779
        cmp dx, 0x3c
        jne .bad
        cmp ax, 0x7779
        jne .bad
        mov bx, 1000
        div bx                  ; 3962 remainder 745
        cmp ax, 3962
        jne .bad
        cmp dx, 745
        jne .bad
        mov al, 0x38
        add al, 0x45
        daa                     ; 38 + 45 = 83
        cmp al, 0x83
        jne .bad
        clc
        ret
.bad:   stc
        ret

check_mem:
        mov ax, 0x2000          ; a pattern over 64 KiB, read back
        mov es, ax
        xor di, di
        mov ax, 0x5aa5
.fill:  stosw
        add ax, 0x1357
        or di, di
        jnz .fill
        mov ax, 0x5aa5
.read:  cmp ax, [es:di]
        jne .bad
        add ax, 0x1357
        add di, 2
        jnz .read
        clc
        ret
.bad:   stc
        ret

check_int:
        xor ax, ax
        mov es, ax
        mov word [es:0x60 * 4], handler
        mov [es:0x60 * 4 + 2], cs
        mov bx, 1
        int 0x60
        cmp bx, 0x1235
        jne .bad
        clc
        ret
.bad:   stc
        ret
handler:
        add bx, 0x1234
        iret

check_pit:
        mov al, 0x30            ; counter 0, mode 0: must count down
        out 0x43, al
        mov al, 0xff
        out 0x40, al
        out 0x40, al
        mov cx, 2000
.wait:  loop .wait
        xor al, al              ; latch
        out 0x43, al
        in al, 0x40
        mov ah, al
        in al, 0x40
        xchg al, ah
        cmp ax, 0xffff
        je .bad
        clc
        ret
.bad:   stc
        ret

verdict:
        mov si, t_ok
        jnc puts
        inc bp
        mov si, t_fail
; The text at DS:SI up to a zero, to COM1 and the debug console.
puts:
        lodsb
        or al, al
        jz .done
        out 0xe9, al
        mov ah, al
        mov dx, com1 + 5
.wait:  in al, dx
        test al, 0x20           ; THRE
        jz .wait
        mov al, ah
        mov dx, com1
        out dx, al
        jmp puts
.done:  ret

banner: db 13, 10, 'doppel: the built-in demo', 13, 10, 13, 10, 0
t_alu:  db '  arithmetic ... ', 0
t_mem:  db '  memory ....... ', 0
t_int:  db '  interrupts ... ', 0
t_pit:  db '  timer ........ ', 0
t_ok:   db 'ok', 13, 10, 0
t_fail: db 'FAIL', 13, 10, 0
bye:    db 13, 10, 'This build works. Try: doppel run -kernel vmlinuz -initrd initrd '
        db '-append console=ttyS0', 13, 10, 0

        times 0x1ff0 - ($ - $$) db 0xf4
        jmp 0xf000:start        ; the reset vector
        times 0x2000 - ($ - $$) db 0xf4
