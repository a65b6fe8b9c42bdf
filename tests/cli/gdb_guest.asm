; gdb_guest.asm: an ELF with a PVH note and symbols, for tests/cli/test_gdb.sh. Entered in 32-bit
; protected mode; goes to long mode, starts the other vCPUs (which begin in real mode at 8000h),
; lets all of them work, corrupts a word once, and halts.
;
;   nasm -f elf64 -o g.o gdb_guest.asm; ld -nostdlib -z noexecstack -Ttext 0x200000 -o g g.o

        default rel
        bits 32

section .note.pvh note alloc noexec align=4
        dd 4, 4, 18                     ; XEN_ELFNOTE_PHYS32_ENTRY
        db "Xen", 0
        dd entry

section .text
        global entry, long_mode, work, store, corrupt, done, ap_long, ap_work
        global variable, victim, rounds, up, progress, stop

TRAMPOLINE equ 0x8000
APIC    equ 0xfee00000
ROUNDS  equ 2000

entry:
        cli
        mov esp, stack_end
        mov edi, pdpt                   ; 4 GiB, one to one, in pages of 1 GiB
        mov eax, 0x83
        mov ecx, 4
.page:  mov [edi], eax
        mov dword [edi + 4], 0
        add edi, 8
        add eax, 0x40000000
        loop .page
        mov dword [pml4], pdpt + 3
        call enter_paging
        lgdt [gdtr]
        jmp 8:long_mode

; CR4.PAE, CR3, EFER.LME, CR0.PG; for all vCPUs.
enter_paging:
        mov eax, cr4
        or eax, 0x20
        mov cr4, eax
        mov eax, pml4
        mov cr3, eax
        mov ecx, 0xc0000080
        rdmsr
        or eax, 0x100
        wrmsr
        mov eax, cr0
        or eax, 0x80000001
        mov cr0, eax
        ret

        bits 64
long_mode:
        mov ax, 16
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov rsp, stack_end
        mov rsi, trampoline             ; to where a SIPI can start
        mov rdi, TRAMPOLINE
        mov rcx, trampoline_end - trampoline
        rep movsb
        mov rbx, APIC
        mov dword [rbx + 0xf0], 0x1ff
        mov dword [rbx + 0x300], 0xc4500 ; INIT to all but us
        mov ecx, 2000
.wait:  dec ecx
        jnz .wait
        mov dword [rbx + 0x300], 0xc4608 ; SIPI: 8000h
        call work
        mov byte [stop], 1
done:   cli
.halt:  hlt
        jmp .halt

work:
        xor r12d, r12d
.round:
        mov edi, r12d
        call store
        cmp r12d, ROUNDS * 3 / 4
        jne .next
        call corrupt
.next:
        inc r12d
        cmp r12d, ROUNDS
        jb .round
        ret

store:                                  ; variable = rdi * rdi
        push rbx
        mov rbx, rdi
        imul rbx, rdi
        mov [variable], rbx
        inc qword [rounds]
        pop rbx
        ret

corrupt:                                ; what should not have happened
        mov rax, 0x0bad0bad0bad0bad
        mov [victim], rax
        ret

ap_long:
        mov ax, 16
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov eax, 1
        lock xadd [up], eax             ; 1, 2, 3
        mov r15d, eax
        shl eax, 10
        mov rsp, ap_stacks
        add rsp, rax
        call ap_work
.halt:  cli
        hlt
        jmp .halt

ap_work:
        lea rbx, [progress]
.again: inc qword [rbx + r15 * 8]
        pause
        cmp byte [stop], 0
        je .again
        ret

; Copied to 8000h: CS is 800h there, its base 8000h.
        bits 16
trampoline:
        cli
        mov ax, cs
        mov ds, ax
        o32 lgdt [.gdtr - trampoline]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp dword 24:ap_protected
.gdtr:  dw gdt_end - gdt - 1
        dd gdt
trampoline_end:

        bits 32
ap_protected:
        mov ax, 16
        mov ds, ax
        mov ss, ax
        mov esp, ap_stacks              ; all share it, by turns too short to meet
        call enter_paging
        jmp 8:ap_long

section .data
        align 8
gdt:    dq 0
        dq 0x00af9a000000ffff           ; 8: 64-bit code
        dq 0x00cf92000000ffff           ; 16: data
        dq 0x00cf9a000000ffff           ; 24: 32-bit code
gdt_end:
gdtr:   dw gdt_end - gdt - 1
        dd gdt
        align 8
variable: dq 0
victim: dq 0x600df00d600df00d
rounds: dq 0
up:     dd 1
stop:   db 0
        align 8
progress: times 8 dq 0

section .bss nobits alloc write align=4096
pml4:   resb 4096
pdpt:   resb 4096
        resb 4096
stack_end:
        resb 4096
ap_stacks:
        resb 8192
