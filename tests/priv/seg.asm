; Segments: limits to the byte for every access size, expand-down, types and rights of accesses,
; checks when a selector is loaded, code limits. SDM 3A 3.4, 5.2 to 5.7.
%include "lib.inc"
%include "desc.inc"

BASE    equ 0x300000

main:
    mov eax, cr4
    or eax, 0x600               ; OSFXSR
    mov cr4, eax
    call limits
    call down
    call rights
    call loading
    call code
    call stacks
    ret

; --- Limits -------------------------------------------------------------------------------------
; One routine for each kind of access, all at fs:ebx. Table: size, routine.
section .data
align 4
accesses:
    dd 1, .r1, 1, .w1, 2, .r2, 2, .w2, 4, .r4, 4, .w4, 8, .r8, 8, .w8, 10, .r10, 10, .w10
    dd 16, .r16, 16, .w16, 1, .rmw1, 2, .rmw2, 4, .rmw4, 8, .cx8, 6, .far, 8, .bound
    dd 28, .fstenv, 108, .fnsave, 2, .fldcw, 6, .sidt, 4, .push4, 1, .xlat, 2, .lldt
    dd 0
section .text
accesses.r1: mov al, [fs:ebx]
    ret
accesses.w1: mov [fs:ebx], al
    ret
accesses.r2: mov ax, [fs:ebx]
    ret
accesses.w2: mov [fs:ebx], ax
    ret
accesses.r4: mov eax, [fs:ebx]
    ret
accesses.w4: mov [fs:ebx], eax
    ret
accesses.r8: fild qword [fs:ebx]
    ret
accesses.w8: fldz
    fistp qword [fs:ebx]
    ret
accesses.r10: fld tword [fs:ebx]
    ret
accesses.w10: fldz
    fstp tword [fs:ebx]
    ret
accesses.r16: movups xmm0, [fs:ebx]
    ret
accesses.w16: movups [fs:ebx], xmm0
    ret
accesses.rmw1: inc byte [fs:ebx]
    ret
accesses.rmw2: xadd [fs:ebx], ax
    ret
accesses.rmw4: shl dword [fs:ebx], 1
    ret
accesses.cx8: cmpxchg8b [fs:ebx]
    ret
accesses.far:
    mov dword [BASE - 8 + ebx + 8], 0 ; a null selector loads without a look
    mov word [BASE + ebx + 4], 0
    lgs eax, [fs:ebx]
    ret
accesses.bound:
    xor eax, eax
    mov dword [BASE + ebx], -1
    mov dword [BASE + ebx + 4], 1
    bound eax, [fs:ebx]
    ret
accesses.fstenv: fnstenv [fs:ebx]
    ret
accesses.fnsave: fnsave [fs:ebx]
    ret
accesses.fldcw:
    mov word [BASE + ebx], 0x37f
    fldcw [fs:ebx]
    ret
accesses.sidt: sidt [fs:ebx]
    ret
accesses.push4: push dword [fs:ebx]
    pop eax
    ret
accesses.xlat:
    xor eax, eax
    fs xlatb
    ret
accesses.lldt:
    mov word [BASE + ebx], 0
    lldt [fs:ebx]
    ret

; Runs the access of [kind] at fs:[offset]; eax: the vector, or NONE.
try:
    mov dword [got_vec], NONE
    mov dword [catch_ip], .end
    mov [catch_sp], esp
    fninit
    mov ebx, [offset]
    mov eax, [kind]
    call eax
    mov dword [catch_ip], 0
.end:
    mov ax, UDATA               ; LGS may have spoiled it; FS the handler reset
    mov gs, ax
    mov ax, TEST1
    mov fs, ax
    mov eax, [got_vec]
    cmp eax, NONE
    je .ret
    cmp dword [got_err], 0
    je .ret
    mov eax, 0x100              ; not with error code 0
.ret:
    ret
section .data
align 4
kind: dd 0
offset: dd 0
wrong: dd 0
first_wrong: dd 0
low: dd 0
high: dd 0
section .text

; All accesses against the segment in FS, whose valid bytes are [low] to [high]: just inside, just
; outside at both ends. wrong counts; first_wrong is the number in the table.
try_all:
    mov dword [wrong], 0
    mov dword [first_wrong], -1
    mov esi, accesses
.next:
    mov ecx, [esi]
    test ecx, ecx
    jz .done
    mov eax, [esi + 4]
    mov [kind], eax
    ; The last place that fits, and one further.
    mov eax, [high]
    sub eax, ecx
    inc eax
    mov [offset], eax
    mov edx, NONE
    call expect
    inc dword [offset]
    mov edx, X_GP
    call expect
    ; Partly above, wholly above.
    mov eax, [high]
    mov [offset], eax
    cmp ecx, 1
    je .above
    call expect
.above:
    inc dword [offset]
    jz .low                     ; no room above 4 GiB: that is an expand-up matter
    call expect
.low:
    cmp dword [low], 0
    je .skip
    mov eax, [low]
    mov [offset], eax
    mov edx, NONE
    call expect
    dec dword [offset]
    mov edx, X_GP
    call expect
.skip:
    add esi, 8
    jmp .next
.done:
    ret

expect:                         ; edx: the vector
    pushad
    call try
    popad
    push eax
    mov eax, [got_vec]
    cmp eax, edx
    jne .bad
    cmp eax, NONE
    je .good
    cmp dword [got_err], 0
    je .good
.bad:
    inc dword [wrong]
    cmp dword [first_wrong], -1
    jne .good
    mov eax, esi
    sub eax, accesses
    shr eax, 3
    mov [first_wrong], eax
.good:
    pop eax
    ret

%macro ALL 1
    call try_all
    EQUALS %1, dword [first_wrong], -1
    EQUALS %1, dword [wrong], 0
%endmacro
%macro LOADFS 0
    mov ax, TEST1
    mov fs, ax
%endmacro

limits:
    DESC TEST1, BASE, 0x7ff, 0x93, 4            ; writable data, byte granular
    LOADFS
    mov dword [low], 0
    mov dword [high], 0x7ff
    ALL "limit_bytes"
    DESC TEST1, BASE, 0x7fe, 0x93, 4
    LOADFS
    mov dword [high], 0x7fe
    ALL "limit_odd"
    DESC TEST1, BASE, 0x3, 0x93, 0xc            ; 4 pages
    LOADFS
    mov dword [high], 0x3fff
    ALL "limit_pages"
    DESC TEST1, BASE, 0xffff, 0x93, 0           ; 64 KiB, a 16-bit data segment
    LOADFS
    mov dword [high], 0xffff
    ALL "limit_64k"
    DESC TEST1, BASE, 0, 0x93, 4                ; a single byte
    LOADFS
    BEGIN
    mov al, [fs:0]
    RUNS "limit_zero_has_one_byte"
    BEGIN
    LOADFS
AT  mov al, [fs:1]
    FAULTS "limit_zero_no_second", X_GP, 0
    LOADFS
    BEGIN
AT  mov ax, [fs:0]
    FAULTS "limit_zero_no_word", X_GP, 0
    ; Linear addresses wrap at 4 GiB. (Offsets over the end of a 4 GiB segment may or may not
    ; fault: 5.3.)
    DESC TEST1, 0xfffff000, 0xfffff, 0x93, 0xc
    LOADFS
    mov eax, [fs:0x101000]
    EQUALS "linear_wraps", eax, dword [0x100000]
    ret

; Expand-down: valid are the offsets above the limit, to 64 KiB or 4 GiB by B.
down:
    DESC TEST1, BASE, 0x7ff, 0x97, 0
    LOADFS
    mov dword [low], 0x800
    mov dword [high], 0xffff
    ALL "expand_down_16"
    DESC TEST1, BASE, 0x800, 0x97, 0
    LOADFS
    mov dword [low], 0x801
    ALL "expand_down_odd"
    DESC TEST1, BASE - 0x200000, 0x201, 0x97, 0xc ; below 0x202000 nothing
    LOADFS
    BEGIN
AT  mov al, [fs:0x201fff]
    FAULTS "expand_down_32_below", X_GP, 0
    LOADFS
    BEGIN
    mov al, [fs:0x202000]
    mov eax, [fs:0x202000]
    RUNS "expand_down_32_first"
    BEGIN
AT  mov eax, [fs:0x201ffd]
    FAULTS "expand_down_32_partly", X_GP, 0
    LOADFS
    BEGIN
AT  mov eax, [fs:0xfffffffd]
    FAULTS "expand_down_32_over_the_end", X_GP, 0
    DESC TEST1, BASE, 0xffff, 0x97, 0           ; nothing at all
    LOADFS
    BEGIN
AT  mov al, [fs:0xffff]
    FAULTS "expand_down_empty", X_GP, 0
    ret

rights:
    DESC TEST1, BASE, 0xfff, 0x91, 4            ; read-only data
    LOADFS
    BEGIN
    mov eax, [fs:4]
    RUNS "readonly_read"
    BEGIN
AT  mov [fs:4], eax
    FAULTS "readonly_write", X_GP, 0
    LOADFS
    BEGIN
AT  add dword [fs:4], 0
    FAULTS "readonly_rmw", X_GP, 0
    LOADFS
    BEGIN
    mov eax, 0x12345678
AT  cmpxchg [fs:4], eax
    FAULTS "readonly_cmpxchg_that_fails", X_GP, 0
    DESC TEST1, BASE, 0xfff, 0x9b, 4            ; readable code
    LOADFS
    BEGIN
    mov eax, [fs:4]
    RUNS "code_read"
    BEGIN
AT  mov [fs:4], eax
    FAULTS "code_write", X_GP, 0
    BEGIN
AT  mov [cs:mb_header], eax
    FAULTS "code_write_cs", X_GP, 0
    xor eax, eax                                ; the null selector
    mov fs, ax
    BEGIN
    xor eax, eax
    mov fs, ax
AT  mov eax, [fs:0]
    FAULTS "null_selector_read", X_GP, 0
    BEGIN
    mov ax, 3
    mov fs, ax
AT  mov [fs:0x100000], al
    FAULTS "null_selector_write", X_GP, 0
    ; The descriptor's accessed bit is set by a load.
    DESC TEST1, BASE, 0xfff, 0x92, 4
    LOADFS
    movzx eax, byte [gdt + TEST1 + 5]
    EQUALS "load_sets_accessed", eax, 0x93
    ; What was loaded stays when the table changes.
    DESC TEST1, BASE, 0, 0x10, 0
    BEGIN
    mov eax, [fs:0xff0]
    RUNS "descriptor_is_cached"
    mov ax, UDATA
    mov fs, ax
    ret

; FAULTS of "mov reg16, sel": name, descriptor's access byte, selector, vector, error code.
%macro LOADS 5
    DESC TEST2, BASE, 0xfff, %2, 4
    BEGIN
    mov eax, %3
AT  mov gs, ax
%if %4 == NONE
    RUNS %1
%else
    FAULTS %1, %4, %5
%endif
%endmacro
%macro LOADSS 5
    DESC TEST2, BASE, 0xfff, %2, 4
    BEGIN
    mov eax, %3
AT  mov ss, ax
    FAULTS %1, %4, %5
%endmacro

loading:
    LOADS "load_data", 0x93, TEST2, NONE, 0
    LOADS "load_readonly", 0x91, TEST2, NONE, 0
    LOADS "load_expand_down", 0x97, TEST2, NONE, 0
    LOADS "load_readable_code", 0x9b, TEST2, NONE, 0
    LOADS "load_execute_only", 0x99, TEST2, X_GP, TEST2
    LOADS "load_conforming_readable", 0x9f, TEST2, NONE, 0
    LOADS "load_absent", 0x13, TEST2, X_NP, TEST2
    LOADS "load_absent_execute_only", 0x19, TEST2, X_GP, TEST2
    LOADS "load_system", 0x89, TEST2, X_GP, TEST2
    LOADS "load_call_gate", 0x8c, TEST2, X_GP, TEST2
    LOADS "load_type_0", 0x80, TEST2, X_GP, TEST2
    LOADS "load_rpl_over_dpl", 0x93, TEST2 + 3, X_GP, TEST2
    LOADS "load_dpl3_rpl3", 0xf3, TEST2 + 3, NONE, 0
    LOADS "load_dpl0_rpl1_conforming", 0x9f, TEST2 + 1, NONE, 0
    LOADS "load_null", 0x93, 0, NONE, 0
    LOADS "load_null_rpl3", 0x93, 3, NONE, 0
    LOADS "load_outside_gdt", 0x93, gdt_end - gdt, X_GP, gdt_end - gdt
    LOADS "load_far_outside_gdt", 0x93, 0xfff8 + 3, X_GP, 0xfff8
    LOADS "load_ldt_without_ldt", 0x93, 0x0c, X_GP, 0x0c
    LOADSS "ss_null", 0x93, 0, X_GP, 0
    LOADSS "ss_readonly", 0x91, TEST2, X_GP, TEST2
    LOADSS "ss_code", 0x9b, TEST2, X_GP, TEST2
    LOADSS "ss_absent", 0x13, TEST2, X_SS, TEST2
    LOADSS "ss_absent_readonly", 0x11, TEST2, X_GP, TEST2
    LOADSS "ss_rpl", 0x93, TEST2 + 1, X_GP, TEST2
    LOADSS "ss_dpl", 0xf3, TEST2, X_GP, TEST2
    LOADSS "ss_outside_gdt", 0x93, gdt_end - gdt, X_GP, gdt_end - gdt
    ; A table that ends in the middle of a descriptor.
    mov word [gdt_ptr], TEST2 + 6
    lgdt [gdt_ptr]
    LOADS "load_descriptor_cut", 0x93, TEST2, X_GP, TEST2
    mov word [gdt_ptr], TEST2 + 7
    lgdt [gdt_ptr]
    LOADS "load_descriptor_just_fits", 0x93, TEST2, NONE, 0
    mov word [gdt_ptr], gdt_end - gdt - 1
    lgdt [gdt_ptr]
    ; An LDT.
    DESC TEST3, BASE, 15, 0x82, 0
    mov dword [BASE + 8], 0x0000ffff
    mov dword [BASE + 12], 0x00cf9300
    mov ax, TEST3
    lldt ax
    LOADS "load_from_ldt", 0x93, 0x0c, NONE, 0
    LOADS "load_beyond_ldt", 0x93, 0x14, X_GP, 0x14
    LOADS "load_ldt_entry_0", 0x93, 0x04, X_GP, 0x04
    ; A failed load leaves the register and what it holds.
    mov ax, UDATA
    mov gs, ax
    DESC TEST2, BASE, 0xfff, 0x13, 4
    BEGIN
    mov eax, TEST2
AT  mov gs, ax
    FAULTS "failed_load", X_NP, TEST2
    BEGIN
AT  lldt [.bad_ldt]
    FAULTS "lldt_not_an_ldt", X_GP, TEST2
    xor eax, eax
    lldt ax
    LOADS "load_null_ldt", 0x93, 0x0c, X_GP, 0x0c
    ; From user code.
    DESC TEST2, BASE, 0xfff, 0x93, 4
    BEGIN
    USER
    mov eax, TEST2 + 3
AT  mov gs, ax
    FAULTS "user_loads_dpl0", X_GP, TEST2
    BEGIN
    USER
    xor eax, eax
AT  mov ss, ax
    FAULTS "user_ss_null", X_GP, 0
    BEGIN
    USER
    mov eax, KDATA
AT  mov ss, ax
    FAULTS "user_ss_dpl0", X_GP, KDATA
    ret
section .data
.bad_ldt: dw TEST2
section .text

; Code limits: a jump beyond, and running over the end, both to the byte.
code:
    DESC TEST4, BASE, 0x0ff, 0x9b, 4
    mov edi, BASE
    mov ecx, 0x200
    mov al, 0x90
    rep stosb
    mov dword [BASE + 0xfa], 0x30cd            ; int 0x30 in the middle
    BEGIN
    jmp TEST4:0xfa
    FAULTS "code_inside", URET
    BEGIN
AT  jmp TEST4:0x100
    FAULTS "far_jump_beyond", X_GP, 0
    mov word [BASE + 0xfe], 0x30cd
    BEGIN
    jmp TEST4:0xfe
    FAULTS "code_last_bytes", URET
    mov dword [BASE + 0xf8], 0x90909090
    mov dword [BASE + 0xfc], 0x90909090
    mov dword [BASE + 0x100], 0x90909090
    BEGIN
    jmp TEST4:0xf0
    FAULTS "runs_over_the_end", X_GP, 0
    EQUALS "runs_over_the_end_ip", dword [got_ip], 0x100
    mov byte [BASE + 0xfd], 0xb8                ; mov eax, imm32: bytes 0xfd..0x101
    BEGIN
    jmp TEST4:0xf0
    FAULTS "instruction_over_the_end", X_GP, 0
    EQUALS "instruction_over_the_end_ip", dword [got_ip], 0xfd
    EQUALS "instruction_over_the_end_cs", dword [got_cs], TEST4
    mov word [BASE + 0xfe], 0x20eb              ; jmp short to 0x120
    mov byte [BASE + 0xfd], 0x90
    BEGIN
    jmp TEST4:0xf0
    FAULTS "short_jump_beyond", X_GP, 0
    EQUALS "short_jump_beyond_ip", dword [got_ip], 0xfe
    mov byte [BASE + 0xf8], 0xe8                ; call 0x200: nothing is pushed
    mov dword [BASE + 0xf9], 0x200 - 0xfd
    BEGIN
    jmp TEST4:0xf0
    FAULTS "call_beyond", X_GP, 0
    EQUALS "call_beyond_ip", dword [got_ip], 0xf8
    mov byte [BASE + 0xf8], 0xc3                ; ret to 0x200: nothing is popped
    BEGIN
    push dword 0x200
    jmp TEST4:0xf0
    FAULTS "ret_beyond", X_GP, 0
    EQUALS "ret_beyond_ip", dword [got_ip], 0xf8
    ; A branch not taken may point anywhere.
    mov dword [BASE + 0xf8], 0xcd7f72f8         ; clc; jc +0x7f; int 0x30
    mov byte [BASE + 0xfc], 0x30
    BEGIN
    jmp TEST4:0xf0
    FAULTS "branch_not_taken_beyond", URET
    ; Far jumps to what is not code.
    DESC TEST4, BASE, 0xff, 0x93, 4
    BEGIN
AT  jmp TEST4:0
    FAULTS "far_jump_to_data", X_GP, TEST4
    DESC TEST4, BASE, 0xff, 0x1b, 4
    BEGIN
AT  jmp TEST4:0
    FAULTS "far_jump_to_absent", X_NP, TEST4
    DESC TEST4, BASE, 0xff, 0xfb, 4
    BEGIN
AT  jmp TEST4:0
    FAULTS "far_jump_to_dpl3", X_GP, TEST4
    DESC TEST4, BASE, 0xff, 0x9b, 4
    BEGIN
AT  jmp TEST4 + 3:0
    FAULTS "far_jump_rpl3", X_GP, TEST4
    BEGIN
AT  jmp 0:0
    FAULTS "far_jump_null", X_GP, 0
    BEGIN
AT  call (gdt_end - gdt):0
    FAULTS "far_call_outside_gdt", X_GP, gdt_end - gdt
    ret

; Stacks of user code with small and 16-bit segments: #SS(0).
stacks:
    DESC TEST5, BASE, 0x0ff, 0xf3, 4            ; 256 bytes, 32-bit
    mov dword [.value], 0
    BEGIN
    USER
    mov ecx, TEST5 + 3
    mov ss, cx
    mov esp, 0x100
    push eax
    pop eax
AT  pop eax
    FAULTS "pop_beyond", X_SS, 0
    EQUALS "pop_beyond_esp", dword [got_sp], 0x100
    BEGIN
    USER
    mov ecx, TEST5 + 3
    mov ss, cx
    mov esp, 0x102
AT  push eax
    FAULTS "push_beyond", X_SS, 0
    EQUALS "push_beyond_esp", dword [got_sp], 0x102
    BEGIN
    USER
    mov ecx, TEST5 + 3
    mov ss, cx
    mov esp, 2
AT  push eax
    FAULTS "push_below_zero", X_SS, 0
    BEGIN
    USER
    mov ecx, TEST5 + 3
    mov ss, cx
    mov ebp, 0xfd
AT  mov eax, [ebp]
    FAULTS "ebp_beyond", X_SS, 0
    BEGIN
    USER
    mov ecx, TEST5 + 3
    mov ss, cx
    mov ebp, 0xfc
    mov eax, [ebp]
    mov [ebp], eax
    RUNS "ebp_last"
    BEGIN
    USER
    mov ecx, TEST5 + 3
    mov ss, cx
    mov ebp, 0x200
    mov eax, [ds:ebp]
    RUNS "ebp_with_ds"
    BEGIN
    USER
    mov ecx, TEST5 + 3
    mov ss, cx
    mov eax, 0x200
AT  mov [ss:eax], eax
    FAULTS "ss_override", X_SS, 0
    ; A 16-bit stack wraps at 64 KiB.
    DESC TEST5, BASE, 0xffff, 0xf3, 0
    mov dword [BASE + 0xfffc], 0
    BEGIN
    USER
    mov ecx, TEST5 + 3
    mov ss, cx
    mov esp, 0xabcd0000
    push dword 0x11223344
    mov [.value], esp
    pop eax
    mov [.value2], esp
    RUNS "stack16_wraps"
    EQUALS "stack16_upper_half_stays", dword [.value], 0xabcdfffc
    EQUALS "stack16_pop", dword [.value2], 0xabcd0000
    EQUALS "stack16_written", dword [BASE + 0xfffc], 0x11223344
    ; A dword at 0xfffe would wrap in the middle: #SS.
    BEGIN
    USER
    mov ecx, TEST5 + 3
    mov ss, cx
    mov esp, 2
AT  push dword 1
    FAULTS "stack16_dword_over_the_end", X_SS, 0
    ; An expand-down stack, as it was meant.
    DESC TEST5, BASE, 0x0fff, 0xf7, 0
    BEGIN
    USER
    mov ecx, TEST5 + 3
    mov ss, cx
    mov esp, 0x1004
    push eax
AT  push eax
    FAULTS "expand_down_stack", X_SS, 0
    EQUALS "expand_down_stack_sp", dword [got_sp], 0x1000
    ret
section .data
align 4
.value: dd 0
.value2: dd 0
section .text
