; Self-modifying code in its hard forms. A processor sees its own writes at the next instruction if
; it made them through the address it fetches from; through an alias after a serializing instruction
; (SDM 3A 8.1.3, 11.6).
%define UOFF 0x40000000
%include "lib.inc"
%include "page32.inc"

main:
    call paging_on
    call in_line
    call by_many_instructions
    call loops
    call generated
    call aliases
    call two_pages
    call strings
    call remapped
    call neighbours
    ret

in_line:
    mov eax, 0
    mov byte [.a + 1], 7
.a: mov al, 1
    EQUALS "next_instruction", eax, 7

    mov eax, 0
    mov byte [.b + 1], 9
    add eax, 0x100
    add eax, 0x100
.b: mov al, 1
    EQUALS "later_in_the_block", eax, 0x209

    ; The opcode, and the length with it: three bytes become "inc eax; inc eax; inc eax".
    mov eax, 5
    mov dword [.c], 0x90404040
.c: add eax, 0x10
    nop
    EQUALS "other_length", eax, 8

    ; The modifying instruction itself: takes effect the next time only.
    mov ecx, 2
    mov eax, 0
.d: mov byte [.d + 6], 0x22
    add al, [.d + 6]
    mov byte [.d + 6], 0x11
    loop .d
    EQUALS "itself", eax, 0x22 + 0x11

    ; A write before the instruction, then a jump back.
    mov eax, 0
    jmp .f
.e: mov al, 1
    jmp .g
.f: mov byte [.e + 1], 0x33
    jmp .e
.g: EQUALS "jump_back", eax, 0x33

    ; A byte that does not change.
    mov al, [.h + 1]
    mov [.h + 1], al
.h: mov al, 0x44
    movzx eax, al
    EQUALS "same_byte", eax, 0x44
    ret

%macro MODIFIES 2+              ; name; the instruction that writes 0x5a to [%%x + 1]
    mov byte [%%x + 1], 1
    xor eax, eax
    mov edi, %%x + 1
    mov edx, 0x5a
    %2
%%x:
    mov al, 1
    movzx eax, al
    EQUALS %1, eax, 0x5a
%endmacro

by_many_instructions:
    MODIFIES "by_xchg", xchg [edi], dl
    MODIFIES "by_add", add byte [edi], 0x59
    MODIFIES "by_lock_xor", lock xor byte [edi], 0x5b
    MODIFIES "by_not", call .not
    MODIFIES "by_stosb", call .stosb
    MODIFIES "by_sete", call .setne
    MODIFIES "by_cmpxchg", call .cmpxchg
    MODIFIES "by_pop", call .pop
    MODIFIES "by_push", call .push
    MODIFIES "by_bts", call .bts
    MODIFIES "by_wide_store", call .wide
    ret
.not:
    mov byte [edi], ~0x5a
    not byte [edi]
    ret
.stosb:
    mov al, 0x5a
    stosb
    ret
.setne:
    mov byte [edi], 0
    or edi, edi
    setnz byte [edi]
    add byte [edi], 0x59
    ret
.cmpxchg:
    mov al, 1
    cmpxchg [edi], dl
    ret
.pop:
    mov eax, [edi]
    mov al, 0x5a
    push eax
    pop dword [edi]
    ret
.push:
    mov eax, [edi]
    mov al, 0x5a
    mov ecx, esp
    lea esp, [edi + 4]
    push eax
    mov esp, ecx
    ret
.bts:
    btr dword [edi], 0
    bts dword [edi], 1
    bts dword [edi], 3
    bts dword [edi], 4
    bts dword [edi], 6
    ret
.wide:
    fninit
    fild qword [edi - 3]
    fistp qword [edi - 3]
    mov byte [edi], dl
    ret

loops:
    ; The loop's own body counts up its immediate.
    mov dword [.a + 1], 0
    mov ecx, 1000
    xor ebx, ebx
.a: mov eax, 0
    add ebx, eax
    inc dword [.a + 1]
    loop .a
    EQUALS "loop_changes_its_immediate", ebx, 499500

    ; An instruction that is two alternating ones; old bytes come back each time.
    mov ecx, 1000
    xor ebx, ebx
.b: inc ebx                     ; 43; the other is 4b dec ebx
    xor byte [.b], 0x08
    loop .b
    EQUALS "loop_toggles_an_opcode", ebx, 0

    ; A branch is aimed elsewhere while it runs.
    mov ecx, 6
    xor ebx, ebx
.c: jmp short .t0
.t0:
    add ebx, 1
    mov byte [.c + 1], .t1 - .t0
    loop .c
    jmp .e
.t1:
    add ebx, 0x100
    mov byte [.c + 1], 0
    loop .c
.e: EQUALS "loop_retargets_a_branch", ebx, 0x303
    mov byte [.c + 1], 0
    ret

; Code is written to a page and called, again and again with another constant.
generated:
    mov ecx, 2000
    xor ebx, ebx
    xor ebp, ebp
.next:
    mov byte [PAGE(0) + 0x80], 0xb8     ; mov eax, ecx's value
    mov [PAGE(0) + 0x81], ecx
    mov byte [PAGE(0) + 0x85], 0xc3
    mov edx, PAGE(0) + 0x80
    call edx
    cmp eax, ecx
    setne al
    movzx eax, al
    add ebx, eax
    loop .next
    EQUALS "generated_again_and_again", ebx, 0
    ; The same routine in 64 places of one page, each changed after all were run.
    xor ecx, ecx
.fill:
    mov edi, ecx
    shl edi, 6
    add edi, PAGE(1)
    mov byte [edi], 0xb8
    mov [edi + 1], ecx
    mov byte [edi + 5], 0xc3
    call edi
    add ebp, eax
    inc ecx
    cmp ecx, 64
    jb .fill
    EQUALS "many_routines_first", ebp, 2016
    xor ecx, ecx
.again:
    mov edi, ecx
    shl edi, 6
    add edi, PAGE(1)
    add dword [edi + 1], 100
    call edi
    add ebp, eax
    inc ecx
    cmp ecx, 64
    jb .again
    EQUALS "many_routines_changed", ebp, 2016 + 2016 + 6400
    ret

aliases:
    ; PAGE(2) and PAGE(3) are one page.
    SET 3, PHYS(2) + 7
    mov dword [PAGE(2)], 0x0011b8               ; mov eax, 0x11
    mov dword [PAGE(2) + 4], 0xc300
    mov edx, PAGE(2)
    call edx
    EQUALS "alias_before", eax, 0x11
    mov byte [PAGE(3) + 1], 0x22
    xor eax, eax
    cpuid
    mov edx, PAGE(2)
    call edx
    EQUALS "alias_written", eax, 0x22
    mov edx, PAGE(3)
    call edx
    EQUALS "alias_run_by_other_name", eax, 0x22
    mov byte [PAGE(2) + 1], 0x33
    xor eax, eax
    cpuid
    mov edx, PAGE(3)
    call edx
    EQUALS "alias_other_way", eax, 0x33
    ; The running code through an alias of its page (UOFF maps all of this image).
    mov byte [.x + 1 + UOFF], 0x44
    xor eax, eax
    cpuid
.x: mov al, 1
    movzx eax, al
    EQUALS "alias_of_running_code", eax, 0x44
    ; A user writes what the supervisor runs.
    BEGIN
    USER
    mov byte [PAGE(3) + 1], 0x55
    RUNS "alias_user_write"
    mov edx, PAGE(2)
    call edx
    EQUALS "alias_user_wrote", eax, 0x55
    SET 3, PHYS(3) + 7
    ret

two_pages:
    ; mov eax, imm32; ret with the immediate's bytes on both sides of a page's end, the second page
    ; elsewhere in memory.
    SET 4, PHYS(4) + 7
    SET 5, PHYS(9) + 7
    mov byte [PAGE(4) + 0xffd], 0xb8
    mov word [PAGE(4) + 0xffe], 0x2211
    mov dword [PAGE(5)], 0x00c34433
    mov ebp, PAGE(4) + 0xffd
    call ebp
    EQUALS "straddling", eax, 0x44332211
    mov byte [PAGE(5)], 0x99
    call ebp
    EQUALS "straddling_second_changed", eax, 0x44992211
    mov byte [PAGE(4) + 0xffe], 0x88
    call ebp
    EQUALS "straddling_first_changed", eax, 0x44992288
    mov dword [PAGE(4) + 0xffe], 0x04030201     ; one write to both
    call ebp
    EQUALS "straddling_both_changed", eax, 0x04030201
    mov word [PHYS(9)], 0x0807                  ; through the identity mapping
    xor eax, eax
    cpuid
    call ebp
    EQUALS "straddling_alias", eax, 0x08070201
    ; The second page becomes another one.
    mov dword [PAGE(5)], 0x00c30605
    mov dword [PHYS(10)], 0x00c3bbaa
    SET 5, PHYS(10) + 7
    call ebp
    EQUALS "straddling_second_remapped", eax, 0xbbaa0201
    SET 5, PHYS(9) + 7
    call ebp
    EQUALS "straddling_second_back", eax, 0x06050201
    SET 5, PHYS(5) + 7
    ret

strings:
    ; REP MOVSB over the code behind it, in the same block.
    mov esi, .new
    mov edi, .old
    mov ecx, .new_end - .new
    xor eax, eax
    rep movsb
.old:
    mov al, 1
    mov ah, 2
    nop
    EQUALS "rep_movsb_over_what_follows", eax, 0x2010
    ; Over itself with the same bytes, and what follows with others.
    mov byte [.b2 + 1], 1
    mov esi, PAGE(6)
    mov edi, .b
    mov ecx, .b_end - .b
    push esi
    push edi
    push ecx
    xchg esi, edi
    rep movsb
    pop ecx
    pop edi
    pop esi
    mov byte [PAGE(6) + (.b2 - .b) + 1], 0x77
    xor eax, eax
.b: rep movsb
.b2: mov al, 1
.b_end:
    movzx eax, al
    EQUALS "rep_movsb_over_itself", eax, 0x77
    ; REP STOSD fills a routine with INC EAX.
    mov edi, PAGE(7)
    mov eax, 0x90909090
    mov ecx, 8
    rep stosd
    mov byte [edi], 0xc3
    mov edx, PAGE(7)
    xor eax, eax
    call edx
    mov edi, PAGE(7)
    mov eax, 0x40404040
    mov ecx, 8
    rep stosd
    xor eax, eax
    call edx
    EQUALS "rep_stosd_over_run_code", eax, 32
    ; Backwards, ending in the middle of it.
    std
    mov edi, PAGE(7) + 31
    mov al, 0x48
    mov ecx, 12
    rep stosb
    cld
    xor eax, eax
    call edx
    EQUALS "rep_stosb_backwards", eax, 20 - 12
    ret
.new:
    mov al, 0x10
    mov ah, 0x20
    nop
.new_end:

; One linear address, two pages of code by turns.
remapped:
    mov dword [PHYS(11)], 0x000001b8
    mov dword [PHYS(11) + 4], 0xc300
    mov dword [PHYS(12)], 0x000002b8
    mov dword [PHYS(12) + 4], 0xc300
    mov ecx, 50
    xor ebx, ebx
    mov edx, PAGE(8)
.next:
    SET 8, PHYS(11) + 7
    call edx
    lea ebx, [ebx + eax]
    SET 8, PHYS(12) + 7
    call edx
    shl eax, 8
    add ebx, eax
    loop .next
    EQUALS "remapped_code", ebx, 50 * 0x201
    SET 8, PHYS(8) + 7
    ret

; Data in the same line and in the same page as code that runs.
neighbours:
    xor ebx, ebx
    mov ecx, 300
.next:
    add dword [.data], ecx
    add ebx, ecx
    mov [PAGE(1) + 0x3e], cl            ; between the routines of generated
    mov edx, PAGE(1)
    call edx
    cmp eax, 100
    jne .bad
    loop .next
.bad:
    EQUALS "data_in_the_line_ran", ecx, 0
    EQUALS "data_in_the_line", dword [.data], ebx
    ret
.data: dd 0
