; Real mode: entry and exit, limits that stay ("unreal mode"), the table of far pointers and LIDT,
; exceptions without error codes, what does not exist there, flags an interrupt clears, far
; transfers. SDM 3A 20.1, 9.9; SDM 3B 22.
%include "lib.inc"

RSEG    equ 0x700               ; real-mode code and data: linear 7000H
RTOP     equ 0xe00

%macro DESC 5
    mov dword [gdt + (%1 & ~7)], ((%3) & 0xffff) | ((%2) & 0xffff) << 16
    mov dword [gdt + (%1 & ~7) + 4], ((%2) >> 16 & 0xff) | (%4) << 8 | \
        ((%3) >> 16 & 15) << 16 | (%5) << 20 | ((%2) >> 24) << 24
%endmacro
%define R(x) 0x7000 + (x) - real

section .data
align 4
saved_esp: dd 0
real_idt: dw 0x3ff
    dd 0
section .text

; Run the real-mode code at label eax; comes back when it jumps to r_exit or faults.
run_real:
    pushad
    mov [saved_esp], esp
    sub eax, real
    mov [R(r_target)], ax
    mov byte [R(r_vec)], 0xff
    lidt [real_idt]
    jmp TEST1:r_enter - real

back:
    mov ax, UDATA
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ax, KDATA
    mov ss, ax
    mov esp, [saved_esp]
    lidt [idt_ptr]
    popad
    ret

%macro REAL 1                   ; run code at label
    mov eax, %1
    call run_real
%endmacro
; RFAULT name, label, vector, label of the instruction that must be pushed
%macro RFAULT 4
    REAL %2
    %strcat N1 %1, "_ip"
    movzx eax, byte [R(r_vec)]
    EQUALS %1, eax, %3
    movzx eax, word [R(r_ip)]
    EQUALS N1, eax, %4 - real
%endmacro
%macro RVALUE 3
    movzx eax, word [R(%2)]
    EQUALS %1, eax, %3
%endmacro

main:
    mov esi, real
    mov edi, RSEG * 16
    mov ecx, real_end - real
    cld
    rep movsb
    DESC TEST1, RSEG * 16, 0xffff, 0x9b, 0
    DESC TEST2, 0, 0xffff, 0x93, 0
    DESC TEST3, 0, 0xfffff, 0x93, 8
    ; The table: vector n to a stub of 5 bytes that pushes n.
    xor ecx, ecx
.vector:
    lea eax, [ecx + ecx * 4 + (r_stubs - real)]
    mov [ecx * 4], ax
    mov word [ecx * 4 + 2], RSEG
    inc ecx
    cmp ecx, 64
    jb .vector

    REAL t_plain
    RVALUE "no_exception", r_vec, 0xff
    RVALUE "cs", r_a, RSEG
    RVALUE "pe_clear", r_b, 0
    RFAULT "divide", t_div, X_DE, t_div_at
    RVALUE "divide_cs", r_cs, RSEG
    RVALUE "frame_is_six_bytes", r_sp, RTOP - 6
    RFAULT "int3", t_int3, X_BP, t_int3_next
    RFAULT "into", t_into, X_OF, t_into_next
    RFAULT "bound", t_bound, X_BR, t_bound_at
    RFAULT "ud2", t_ud2, X_UD, t_ud2
    RFAULT "int_n", t_int, 0x21, t_int_next
    RVALUE "int_clears_if_tf", r_inflags, 0x3002
    RVALUE "int_pushes_flags", r_flags, 0x3202
    RFAULT "limit_read", t_limit, X_GP, t_limit_at
    RVALUE "no_error_code", r_sp, RTOP - 6
    RFAULT "limit_stack", t_stack, X_SS, t_stack_at
    RFAULT "limit_address32", t_addr32, X_GP, t_addr32_at
    RFAULT "code_limit", t_code, X_GP, t_code_at
    RFAULT "lldt", t_lldt, X_UD, t_lldt
    RFAULT "str", t_str, X_UD, t_str
    RFAULT "lar", t_lar, X_UD, t_lar
    RFAULT "verr", t_verr, X_UD, t_verr
    RFAULT "arpl", t_arpl, X_UD, t_arpl
    RFAULT "mov_cs", t_movcs, X_UD, t_movcs
    RFAULT "lock_nop", t_lock, X_UD, t_lock
    RFAULT "sysenter", t_sysenter, X_GP, t_sysenter
    RFAULT "paging_without_pe", t_pg, X_GP, t_pg_at
    REAL t_lmsw
    RVALUE "lmsw_may_not_fault", r_vec, 0xff
    RVALUE "smsw_pe", r_a, 0
    ; LIDT moves the table, and its limit is checked: #DF of a 4-byte entry outside.
    mov word [real_idt], 0x21 * 4 + 2
    RFAULT "idt_limit_gp", t_int, X_GP, t_int_at
    mov word [real_idt], X_GP * 4 + 2
    RFAULT "idt_limit_df", t_int, X_DF, t_int_at
    mov word [real_idt], 0x3ff
    mov esi, 0
    mov edi, 0x5000
    mov ecx, 64
    rep movsd
    mov dword [real_idt + 2], 0x5000
    mov dword [0x21 * 4], 0
    RFAULT "lidt_moves", t_int, 0x21, t_int_next
    mov dword [real_idt + 2], 0
    ; Limits survive in the hidden part.
    mov dword [0x300000], 0x55aa1234
    REAL t_unreal
    RVALUE "unreal", r_vec, 0xff
    RVALUE "unreal_read", r_a, 0x1234
    RVALUE "unreal_after_load", r_b, 0x1234
    REAL t_wrap
    RVALUE "segment_ffff", r_a, 0xbeef
    ; Far transfers.
    REAL t_far
    RVALUE "far", r_vec, 0xff
    RVALUE "far_call_pushed_ip", r_a, t_far_back - real
    RVALUE "far_call_pushed_cs", r_b, RSEG
    RVALUE "far_target_cs", r_c, RSEG - 1
    RVALUE "retf_drops", r_d, RTOP + 4
    REAL t_iret
    RVALUE "iret_flags", r_a, 0x7cd7
    REAL t_iretd
    RVALUE "iretd", r_vec, 0xff
    RVALUE "iretd_id", r_a, 0x20
    ; A single-step trap.
    RFAULT "step", t_step, X_DB, t_step_next
    RVALUE "step_flags", r_inflags, 2
    ret

align 16
real:
bits 16
; Entered in protected mode, with a 16-bit code segment at the same base.
r_enter:
    mov ax, TEST2
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov fs, ax
    mov ax, TEST3
    mov gs, ax
    mov eax, cr0
    and al, 0xfe
    mov cr0, eax
    jmp RSEG:.real - real
.real:
    mov ax, RSEG
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, RTOP
    mov word [r_fill - real], 0
    jmp [r_target - real]
r_exit:
    cli
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword KCODE:back

; Exceptions and interrupts: the vector, and what was pushed.
r_stubs:
%assign v 0
%rep 64
    push byte v
    jmp near r_caught
%assign v v+1
%endrep
r_caught:
    pushf
    pop word [cs:r_inflags - real]
    pop ax
    mov [cs:r_vec - real], al
    mov [cs:r_sp - real], sp
    mov bp, sp
    mov ax, [ss:bp]
    mov [cs:r_ip - real], ax
    mov ax, [ss:bp + 2]
    mov [cs:r_cs - real], ax
    mov ax, [ss:bp + 4]
    mov [cs:r_flags - real], ax
    jmp r_exit

t_plain:
    mov [r_a - real], cs
    mov eax, cr0
    and ax, 1
    mov [r_b - real], ax
    jmp r_exit
t_div:
    xor cx, cx
t_div_at:
    div cx
t_int3:
    int3
t_int3_next:
    nop
t_into:
    mov al, 0x7f
    inc al
    into
t_into_next:
    nop
t_bound:
    mov dword [r_a - real], 0x00050000
    mov ax, 6
t_bound_at:
    bound ax, [r_a - real]
t_ud2:
    ud2
t_int:
    push word 0x3202
    popf
t_int_at:
    int 0x21
t_int_next:
    nop
t_limit:
    mov bx, 0xffff
t_limit_at:
    mov ax, [bx]
t_stack:
    mov bp, 0xffff
t_stack_at:
    mov ax, [bp]
t_addr32:
    mov ebx, 0x10000
t_addr32_at:
    mov al, [ebx]
t_code:
    push dword 0x10000
t_code_at:
    o32 ret
t_lldt:
    lldt ax
t_str:
    str ax
t_lar:
    lar ax, bx
t_verr:
    verr ax
t_arpl:
    arpl ax, bx
t_movcs:
    mov cs, ax
t_lock:
    db 0xf0, 0x90
t_sysenter:
    sysenter
t_pg:
    mov eax, cr0
    or eax, 0x80000000
t_pg_at:
    mov cr0, eax
t_lmsw:
    smsw ax
    and al, 0xfe
    lmsw ax
    smsw ax
    and ax, 1
    mov [r_a - real], ax
    jmp r_exit
t_unreal:
    mov ebx, 0x300000
    mov ax, [gs:ebx]
    mov [r_a - real], ax
    xor ax, ax
    mov gs, ax                  ; changes selector and base only
    mov ax, [gs:ebx]
    mov [r_b - real], ax
    jmp r_exit
t_wrap:
    mov ax, 0xffff
    mov es, ax
    mov word [es:0x20], 0xbeef  ; linear 100010H: A20 is open
    mov ebx, 0x100010
    mov ax, [gs:ebx]
    mov [r_a - real], ax
    jmp r_exit
t_far:
    call RSEG - 1:t_far_back.target - real + 16
t_far_back:
    push word 1
    push word 2
    call RSEG:.drop - real
    mov [r_d - real], sp
    jmp r_exit
.target:
    mov [r_c - real], cs
    mov bp, sp
    mov ax, [bp]
    mov [r_a - real], ax
    mov ax, [bp + 2]
    mov [r_b - real], ax
    retf
.drop:
    retf 8
t_iret:
    push word 0x7cd7
    push cs
    push word .to - real
    iret
.to:
    pushf
    pop word [r_a - real]
    push word 2
    popf
    jmp r_exit
t_iretd:
    push dword 0x200002         ; ID
    push dword RSEG
    push dword .to - real
    iretd
.to:
    pushfd
    pop eax
    shr eax, 16
    mov [r_a - real], ax
    jmp r_exit
t_step:
    push word 0x102
    popf
    nop
t_step_next:
    nop

align 4
r_target: dw 0
r_a: dw 0
r_b: dw 0
r_c: dw 0
r_d: dw 0
r_ip: dw 0
r_cs: dw 0
r_flags: dw 0
r_inflags: dw 0
r_sp: dw 0
r_fill: dw 0
r_vec: dw 0
real_end:
bits 32
