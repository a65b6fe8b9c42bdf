; compute.asm: what the interpreter benchmark runs, the same bytes in doppel and in Bochs.
;
; A flat binary for 0x100000, entered in 32-bit protected mode with flat segments: by multiboot 1
; (doppel), or by bench/disk.asm (anything with a BIOS and a disk). It makes its own GDT, IDT and
; page tables (16 MiB mapped to themselves in 4 KiB pages, so that address translation is part of
; the measure), then runs the kernels of the table below, one after another. Each prints to port
; 0xe9
;     start NAME
;     stop NAME RESULT
; and RESULT must be the same everywhere. The end is "done", then exit: 0x31 to port 0xf4
; (isa-debug-exit) and "Shutdown" to port 0x8900 (Bochs).
;
; Memory: code 0x100000, page tables 0x200000, stack below 0x300000, data from 0x400000.

        bits 32
        org 0x100000

PAGES   equ 0x200000
STACK   equ 0x300000
DATA    equ 0x400000

; How much of each kernel to run, in percent; tests use 1.
%ifndef PERCENT
%define PERCENT 100
%endif

image:
        jmp entry
        align 4
; Multiboot 1 header with the addresses given in it (bit 16): Multiboot Specification 0.6.96, 3.1.
header: dd 0x1badb002, 0x00010000, -(0x1badb002 + 0x00010000)
        dd header, image, image_end, image_end, entry

entry:  mov esp, STACK
        lgdt [gdt_ptr]
        jmp 8:.flat
.flat:  mov ax, 16
        mov ds, ax
        mov es, ax
        mov fs, ax
        mov gs, ax
        mov ss, ax
        call make_idt
        call make_pages
        mov eax, cr4
        or eax, 0x600           ; OSFXSR, OSXMMEXCPT
        mov cr4, eax
        mov eax, PAGES
        mov cr3, eax
        mov eax, cr0
        and eax, ~0xc           ; EM, TS
        or eax, 0x80010022      ; PG, WP, NE, MP
        mov cr0, eax
        fninit

        mov esi, kernels
.next:  lodsd
        test eax, eax
        jz .done
        mov ebx, eax            ; code
        mov edi, esi            ; name
.skip:  lodsb
        test al, al
        jnz .skip
        push esi
        push edi
        mov esi, msg_start
        call print
        mov esi, edi
        call print
        call newline
        call ebx                ; result in eax
        pop edi
        push eax
        mov esi, msg_stop
        call print
        mov esi, edi
        call print
        mov al, ' '
        out 0xe9, al
        pop eax
        call hex
        call newline
        pop esi
        jmp .next
.done:  mov esi, msg_done
        call print
        mov al, 0x31
        out 0xf4, al
        mov esi, msg_shutdown
        mov dx, 0x8900
.bochs: lodsb
        out dx, al
        test al, al
        jnz .bochs
.halt:  cli
        hlt
        jmp .halt

; --- set-up and printing -----------------------------------------------------------------------
make_pages:
        mov edi, PAGES
        mov eax, PAGES + 0x1000 + 3
        mov ecx, 4
.dir:   stosd
        add eax, 0x1000
        loop .dir
        mov ecx, 1020
        xor eax, eax
        rep stosd
        mov eax, 3
        mov ecx, 4096
.table: stosd
        add eax, 0x1000
        loop .table
        ret

; Every vector goes to a handler that returns; the interrupt kernel uses 0x40.
make_idt:
        mov edi, idt
        mov ecx, 0x41
.gate:  mov eax, isr
        mov [edi], ax
        mov word [edi + 2], 8
        mov word [edi + 4], 0x8e00
        shr eax, 16
        mov [edi + 6], ax
        add edi, 8
        loop .gate
        lidt [idt_ptr]
        ret
isr:    inc dword [ticks]
        iret

print:  lodsb
        test al, al
        jz .end
        out 0xe9, al
        jmp print
.end:   ret
newline:
        mov al, 10
        out 0xe9, al
        ret
hex:    mov ecx, 8
        mov edx, eax
.digit: rol edx, 4
        mov eax, edx
        and eax, 15
        mov al, [digits + eax]
        out 0xe9, al
        loop .digit
        ret

; fill: EDI dwords pointer, ECX dwords: xorshift32 numbers.
fill:   mov eax, 2463534242
.next:  mov edx, eax
        shl edx, 13
        xor eax, edx
        mov edx, eax
        shr edx, 17
        xor eax, edx
        mov edx, eax
        shl edx, 5
        xor eax, edx
        stosd
        loop .next
        ret

; --- the kernels: result in EAX, EBX and EDI free ------------------------------------------------
; FNV-1a over 64 KiB, byte by byte.
k_hash: mov edi, DATA
        mov ecx, 16384
        call fill
        mov eax, 0x811c9dc5
        mov ebx, 150 * PERCENT / 100 + 1
.pass:  mov esi, DATA
        mov ecx, 65536
.byte:  movzx edx, byte [esi]
        inc esi
        xor eax, edx
        imul eax, eax, 0x01000193
        dec ecx
        jnz .byte
        dec ebx
        jnz .pass
        ret

; Quicksort of 64 Ki dwords, recursive.
k_sort: mov ebx, 5 * PERCENT / 100 + 1
        xor ebp, ebp
.pass:  mov edi, DATA
        mov ecx, 65536
        call fill
        mov esi, DATA
        mov edi, DATA + 4 * 65535
        call qsort
        mov ecx, 65536
        mov esi, DATA
.sum:   lodsd
        rol ebp, 1
        add ebp, eax
        loop .sum
        dec ebx
        jnz .pass
        mov eax, ebp
        ret
; qsort: sorts the dwords from ESI to EDI, both included (Hoare's partition).
qsort:  cmp esi, edi
        jae .end
        push ebx
        push ebp
        push esi
        push edi
        mov eax, edi
        sub eax, esi
        shr eax, 1
        and eax, ~3
        mov eax, [esi + eax]    ; pivot
        lea ebx, [esi - 4]      ; i
        lea ebp, [edi + 4]      ; j
.up:    add ebx, 4
        cmp [ebx], eax
        jb .up
.down:  sub ebp, 4
        cmp [ebp], eax
        ja .down
        cmp ebx, ebp
        jae .split
        mov ecx, [ebx]
        mov edx, [ebp]
        mov [ebx], edx
        mov [ebp], ecx
        jmp .up
.split: push edi
        mov edi, ebp
        call qsort
        pop edi
        lea esi, [ebp + 4]
        call qsort
        pop edi
        pop esi
        pop ebp
        pop ebx
.end:   ret

; Sieve of Eratosthenes to 2^20: the number of primes.
k_sieve:
        mov ebx, 5 * PERCENT / 100 + 1
.pass:  mov edi, DATA
        mov ecx, 0x100000 / 4
        mov eax, 0x01010101
        rep stosd
        mov esi, 2
.next:  cmp byte [DATA + esi], 0
        je .composite
        mov edx, esi
        imul edx, esi
.cross: cmp edx, 0x100000
        jae .composite
        mov byte [DATA + edx], 0
        add edx, esi
        jmp .cross
.composite:
        inc esi
        cmp esi, 1024
        jb .next
        dec ebx
        jnz .pass
        xor eax, eax
        mov ecx, 0x100000 - 2
.count: movzx edx, byte [DATA + 1 + ecx]
        add eax, edx
        loop .count
        ret

; memcpy of 1 MiB: by dwords in a loop, and by rep movsd and rep movsb.
k_copy: mov edi, DATA
        mov ecx, 0x40000
        call fill
        mov ebx, 16 * PERCENT / 100 + 1
.pass:  xor ecx, ecx
.loop:  mov eax, [DATA + ecx]
        mov edx, [DATA + 4 + ecx]
        mov [DATA + 0x100000 + ecx], eax
        mov [DATA + 0x100004 + ecx], edx
        add ecx, 8
        cmp ecx, 0x100000
        jb .loop
        mov esi, DATA + 0x100000
        mov edi, DATA + 0x200000
        mov ecx, 0x40000
        rep movsd
        mov esi, DATA + 0x200001
        mov edi, DATA
        mov ecx, 0xfffff
        rep movsb
        dec ebx
        jnz .pass
        mov eax, [DATA]
        add eax, [DATA + 0x80000]
        ret

; Fibonacci, doubly recursive: call and ret, push and pop.
k_call: mov ebx, 4 * PERCENT / 100 + 1
.pass:  mov eax, 29
        call fib
        dec ebx
        jnz .pass
        ret
fib:    cmp eax, 2
        jb .end
        push ebx
        lea ebx, [eax - 2]
        dec eax
        call fib
        xchg eax, ebx
        call fib
        add eax, ebx
        pop ebx
.end:   ret

; A bytecode machine: one indirect jump for each operation.
k_bytecode:
        mov ebx, 300000 * PERCENT / 100 + 1
        xor eax, eax
        xor edx, edx
.run:   mov esi, program
.fetch: movzx ecx, byte [esi]
        inc esi
        jmp [ops + 4 * ecx]
op_add: add eax, edx
        jmp k_bytecode.fetch
op_xor: xor eax, 0x5bd1e995
        jmp k_bytecode.fetch
op_rot: rol eax, 7
        jmp k_bytecode.fetch
op_inc: inc edx
        jmp k_bytecode.fetch
op_mul: lea eax, [eax + 4 * eax]
        jmp k_bytecode.fetch
op_end: dec ebx
        jnz k_bytecode.run
        ret

; Wide arithmetic: add with carry, multiply and divide by turns.
k_wide: mov ecx, 6000000 * PERCENT / 100 + 1
        mov eax, 0x12345678
        mov ebp, 0x9abcdef0
        mov edi, 0x0fedcba9
        xor esi, esi
.loop:  mul ebp
        add eax, edi
        adc edx, esi
        shld edi, eax, 3
        xor esi, edx
        or ebp, 0x80000001
        bsr edx, edi
        setc dl
        movzx edx, dl
        div ebp
        sbb edi, edx
        dec ecx
        jnz .loop
        lea eax, [eax + edi]
        ret

; Mandelbrot set with x87: 64 x 64 points, at most 256 turns.
k_x87:  mov dword [iters], 0
        mov ebp, 20 * PERCENT / 100 + 1
.pass:  mov ebx, 64
.row:   mov [row], ebx
        mov edi, 64
.col:   mov [col], edi
        fild dword [row]
        fmul dword [step]
        fsub dword [shift_y]    ; ci
        fild dword [col]
        fmul dword [step]
        fsub dword [shift_x]    ; cr ci
        fldz
        fldz                    ; y x cr ci
        mov ecx, 256
.turn:  fld st0
        fmul st0, st1           ; yy y x cr ci
        fld st2
        fmul st0, st3           ; xx yy y x cr ci
        fld st0
        fadd st0, st2           ; xx+yy xx yy y x cr ci
        fcomp dword [four]
        fnstsw ax
        fsubrp st1, st0         ; yy-xx y x cr ci
        fchs
        fadd st0, st3           ; newx y x cr ci
        fxch st2                ; x y newx cr ci
        fmulp st1, st0          ; xy newx cr ci
        fadd st0, st0
        fadd st0, st3           ; newy newx cr ci
        sahf
        ja .out
        dec ecx
        jnz .turn
.out:   sub dword [iters], ecx
        add dword [iters], 256
        fstp st0
        fstp st0
        fstp st0
        fstp st0
        dec edi
        jnz .col
        dec ebx
        jnz .row
        dec ebp
        jnz .pass
        mov eax, [iters]
        ret

; The same set with scalar SSE2, then packed single precision arithmetic.
k_sse:  mov dword [iters], 0
        mov ebp, 15 * PERCENT / 100 + 1
.pass:  mov ebx, 64
.row:   mov edi, 64
.col:   cvtsi2sd xmm0, ebx
        mulsd xmm0, [dstep]
        subsd xmm0, [dshift_y]
        cvtsi2sd xmm1, edi
        mulsd xmm1, [dstep]
        subsd xmm1, [dshift_x]
        xorps xmm2, xmm2
        xorps xmm3, xmm3
        mov ecx, 256
.turn:  movapd xmm4, xmm2
        mulsd xmm4, xmm2        ; xx
        movapd xmm5, xmm3
        mulsd xmm5, xmm3        ; yy
        mulsd xmm3, xmm2
        addsd xmm3, xmm3
        addsd xmm3, xmm0        ; new y
        movapd xmm2, xmm4
        subsd xmm2, xmm5
        addsd xmm2, xmm1        ; new x
        addsd xmm4, xmm5
        ucomisd xmm4, [dfour]
        ja .out
        dec ecx
        jnz .turn
.out:   sub dword [iters], ecx
        add dword [iters], 256
        dec edi
        jnz .col
        dec ebx
        jnz .row
        dec ebp
        jnz .pass
        mov ecx, 2000000 * PERCENT / 100 + 1
        movaps xmm0, [packed]
        movaps xmm1, [packed + 16]
        pxor xmm7, xmm7
.packed:
        mulps xmm0, xmm1
        addps xmm0, [packed + 16]
        movdqa xmm2, xmm0
        paddd xmm7, xmm2
        pshufd xmm7, xmm7, 0x39
        dec ecx
        jnz .packed
        movd eax, xmm7
        xor eax, [iters]
        ret

; Software interrupts and returns, port input, segment loads, CR3: the privileged side.
k_system:
        mov ecx, 2000000 * PERCENT / 100 + 1
        mov dword [ticks], 0
.loop:  int 0x40
        mov ax, 16
        mov es, ax
        test cl, 63
        jnz .same
        mov eax, cr3
        mov cr3, eax
.same:  dec ecx
        jnz .loop
        mov eax, [ticks]
        ret

; --- data ----------------------------------------------------------------------------------------
kernels:
%macro kernel 2
        dd %1
        db %2, 0
%endmacro
        kernel k_hash, "hash"
        kernel k_sort, "sort"
        kernel k_sieve, "sieve"
        kernel k_copy, "copy"
        kernel k_call, "call"
        kernel k_bytecode, "bytecode"
        kernel k_wide, "wide"
        kernel k_x87, "x87"
        kernel k_sse, "sse"
        kernel k_system, "system"
        dd 0
msg_start:
        db "start ", 0
msg_stop:
        db "stop ", 0
msg_done:
        db "done", 10, 0
msg_shutdown:
        db "Shutdown", 0
digits: db "0123456789abcdef"
program:
        db 0, 1, 2, 3, 4, 0, 0, 3, 2, 1, 4, 3, 0, 2, 2, 1, 3, 0, 1, 4, 2, 0, 3, 5
        align 16
ops:    dd op_add, op_xor, op_rot, op_inc, op_mul, op_end
step:   dd 0.046875
shift_x:
        dd 2.25
shift_y:
        dd 1.5
four:   dd 4.0
        align 16
dstep:  dq 0.046875
dshift_x:
        dq 2.25
dshift_y:
        dq 1.5
dfour:  dq 4.0
packed: dd 1.5, -0.75, 0.3, 2.0
        dd 0.5, 0.25, -0.9, 0.125
        align 8
gdt:    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_ptr:
        dw $ - gdt - 1
        dd gdt
idt_ptr:
        dw 0x41 * 8 - 1
        dd idt
        align 4
image_end:
; Not part of the file; memory behind it.
ticks   equ image_end
iters   equ image_end + 4
row     equ image_end + 8
col     equ image_end + 12
idt     equ image_end + 16
