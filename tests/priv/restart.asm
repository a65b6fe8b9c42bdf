; Faults in the middle: REP interrupted by a page fault, exact RIP, registers at a fault, restart.
; SDM 2 (REP), 3A 6.5, 6.6.
%define UOFF 0x40000000
%include "lib.inc"
%include "page32.inc"

; The hook maps the page that is absent (page n of [absent]) and lets the instruction go on.
mend:
    mov eax, [got_cr2]
    sub eax, TL
    shr eax, 12
    mov edx, eax
    shl edx, 12
    add edx, TP + 7
    mov [PT2 + eax * 4], edx
    mov eax, [got_cr2]
    invlpg [eax]
    ret

; Pages 0..3 present, filled with a pattern; 4 absent; 5 present.
prepare:
    mov dword [hook], 0
    SET 4, PHYS(4) + 7
    mov edi, PAGE(0)
    mov ecx, 0x6000
    xor eax, eax
.fill:
    stosb
    inc al
    loop .fill
    SET 4, 0
    ret

main:
    call paging_on
    call movs
    call stos_lods
    call scans
    call widths
    call restarts
    call registers
    call ports
    ret

movs:
    call prepare
    ; The source runs out.
    BEGIN
    mov esi, PAGE(4) - 100
    mov edi, PAGE(0)
    mov ecx, 200
AT  rep movsb
    FAULTS "movsb_source", X_PF, 0, PAGE(4)
    EQUALS "movsb_source_ecx", dword [got_ecx], 100
    EQUALS "movsb_source_esi", dword [got_esi], PAGE(4)
    EQUALS "movsb_source_edi", dword [got_edi], PAGE(0) + 100
    EQUALS "movsb_source_copied", dword [PAGE(0) + 96], dword [PAGE(4) - 4]
    EQUALS "movsb_source_no_further", dword [PAGE(0) + 100], 0x67666564
    ; The destination runs out; RF is set in the image that is pushed.
    call prepare
    BEGIN
    mov esi, PAGE(0)
    mov edi, PAGE(4) - 4096 * 3
    mov ecx, 4096 * 4
AT  rep movsb
    FAULTS "movsb_destination", X_PF, EW, PAGE(4)
    EQUALS "movsb_destination_ecx", dword [got_ecx], 4096
    EQUALS "movsb_destination_esi", dword [got_esi], PAGE(3)
    EQUALS "movsb_destination_edi", dword [got_edi], PAGE(4)
    mov eax, [got_flags]
    shr eax, 16
    and eax, 1
    EQUALS "movsb_fault_pushes_rf", eax, 1
    ; Dwords over the boundary: the one that does not fit does not begin.
    call prepare
    BEGIN
    mov esi, PAGE(0)
    mov edi, PAGE(4) - 4 * 10 - 2
    mov ecx, 20
AT  rep movsd
    FAULTS "movsd_unaligned", X_PF, EW, PAGE(4)
    EQUALS "movsd_unaligned_ecx", dword [got_ecx], 10
    EQUALS "movsd_unaligned_edi", dword [got_edi], PAGE(4) - 2
    movzx eax, word [PAGE(4) - 2]
    EQUALS "movsd_unaligned_not_begun", eax, 0xfffe
    ; Backwards.
    call prepare
    BEGIN
    mov esi, PAGE(5) + 49
    mov edi, PAGE(1) + 0x800
    mov ecx, 80
    std
AT  rep movsb
    FAULTS "movsb_backwards", X_PF, 0, PAGE(4) + 0xfff
    cld
    EQUALS "movsb_backwards_ecx", dword [got_ecx], 30
    EQUALS "movsb_backwards_esi", dword [got_esi], PAGE(5) - 1
    EQUALS "movsb_backwards_edi", dword [got_edi], PAGE(1) + 0x800 - 50
    BEGIN
    mov esi, PAGE(5) + 4
    mov edi, PAGE(1) + 0x800
    mov ecx, 80
    std
AT  rep movsd
    FAULTS "movsd_backwards", X_PF, 0, PAGE(4) + 0xffc
    cld
    EQUALS "movsd_backwards_ecx", dword [got_ecx], 78
    ; Nothing to do touches nothing.
    BEGIN
    mov esi, PAGE(4)
    mov edi, PAGE(4)
    xor ecx, ecx
    rep movsd
    RUNS "movs_count_zero"
    ; Overlap: each byte is seen by the next.
    call prepare
    mov byte [PAGE(0)], 0xaa
    mov esi, PAGE(0)
    mov edi, PAGE(0) + 1
    mov ecx, 5000
    rep movsb
    EQUALS "movsb_overlap", dword [PAGE(1) + 900], 0xaaaaaaaa
    EQUALS "movsb_overlap_end", dword [PAGE(1) + 902], 0x89aaaaaa
    ; One page under two names, one byte apart.
    call prepare
    SET 1, PHYS(0) + 7
    mov byte [PAGE(0)], 0x55
    mov esi, PAGE(0)
    mov edi, PAGE(1) + 1
    mov ecx, 1000
    rep movsb
    EQUALS "movsb_overlap_alias", dword [PAGE(0) + 996], 0x55555555
    SET 1, PHYS(1) + 7
    ret

stos_lods:
    call prepare
    BEGIN
    mov edi, PAGE(3)
    mov eax, 0x77777777
    mov ecx, 2000
AT  rep stosd
    FAULTS "stosd", X_PF, EW, PAGE(4)
    EQUALS "stosd_ecx", dword [got_ecx], 2000 - 1024
    EQUALS "stosd_written", dword [PAGE(4) - 4], 0x77777777
    BEGIN
    mov edi, PAGE(3)
    mov ecx, 5000
    USER
AT  rep stosb
    FAULTS "stosb_user", X_PF, EW | EU, PAGE(4)
    EQUALS "stosb_user_ecx", dword [got_ecx], 5000 - 4096
    call prepare
    BEGIN
    mov esi, PAGE(4) - 3
    mov ecx, 10
AT  rep lodsb
    FAULTS "lodsb", X_PF, 0, PAGE(4)
    EQUALS "lodsb_ecx", dword [got_ecx], 7
    movzx eax, byte [got_eax]
    EQUALS "lodsb_al", eax, 0xff
    ret

scans:
    call prepare
    ; SCASB stops at a match before the absent page, or reaches it.
    BEGIN
    mov edi, PAGE(3)
    mov ecx, 0x2000
    mov al, 0x42
AT  repne scasb
    RUNS "scasb_finds"
    EQUALS "scasb_finds_at", edi, PAGE(3) + 0x43
    EQUALS "scasb_finds_ecx", ecx, 0x2000 - 0x43
    mov byte [PAGE(4) - 1], 0x42
    mov edi, PAGE(3) + 0xf43
    BEGIN
    mov ecx, 0x2000
    mov al, 0x42
    repne scasb
    RUNS "scasb_finds_the_last"
    EQUALS "scasb_finds_the_last_at", edi, PAGE(4)
    mov byte [PAGE(4) - 1], 0
    BEGIN
    mov edi, PAGE(3) + 0xf43
    mov ecx, 0x2000
    mov al, 0x42
AT  repne scasb
    FAULTS "scasb_fault", X_PF, 0, PAGE(4)
    EQUALS "scasb_fault_ecx", dword [got_ecx], 0x2000 - 0xbd
    EQUALS "scasb_fault_edi", dword [got_edi], PAGE(4)
    ; CMPSB: equal up to the absent page; and a difference before it.
    call prepare
    BEGIN
    mov esi, PAGE(2)
    mov edi, PAGE(3)
    mov ecx, 0x2000
AT  repe cmpsb
    FAULTS "cmpsb_fault", X_PF, 0, PAGE(4)
    EQUALS "cmpsb_fault_ecx", dword [got_ecx], 0x1000
    EQUALS "cmpsb_fault_esi", dword [got_esi], PAGE(3)
    inc byte [PAGE(3) + 0x10]
    BEGIN
    mov esi, PAGE(2)
    mov edi, PAGE(3)
    mov ecx, 0x2000
    repe cmpsb
    RUNS "cmpsb_differs"
    EQUALS "cmpsb_differs_ecx", ecx, 0x2000 - 0x11
    ret

; Address and operand sizes.
widths:
    call prepare
    ; 16-bit addresses: SI, DI and CX count, the upper halves stay; DI wraps at 64 KiB.
    mov word [gdt + TEST1], 0xffff
    mov dword [gdt + TEST1 + 2], 0x92000000 | 0x60000
    mov word [gdt + TEST1 + 6], 0
    mov ax, TEST1
    mov es, ax
    mov edi, 0xabcdfffe
    mov ecx, 0x12340004
    mov eax, 0x66
    a16 rep stosb
    mov bx, UDATA
    mov es, bx
    EQUALS "a16_edi", edi, 0xabcd0002
    EQUALS "a16_ecx", ecx, 0x12340000
    movzx eax, word [0x6fffe]
    EQUALS "a16_end", eax, 0x6666
    movzx eax, word [0x60000]
    EQUALS "a16_wrapped", eax, 0x6666
    ; Words over the segment's end do not wrap: #GP after those that fit.
    mov es, [.sel]
    BEGIN
    mov edi, 0xfff9
    mov ecx, 10
    mov eax, 0x1234
AT  a16 rep stosw
    FAULTS "a16_word_over_the_end", X_GP, 0
    mov bx, UDATA
    mov es, bx
    movzx eax, word [got_ecx]
    EQUALS "a16_word_over_the_end_cx", eax, 7
    movzx eax, word [got_edi]
    EQUALS "a16_word_over_the_end_di", eax, 0xffff
    ret
section .data
.sel: dw TEST1
section .text

; Mended by the handler, every instruction goes on as if nothing had been.
restarts:
    call prepare
    mov dword [hook], mend
    BEGIN
    mov esi, PAGE(3) - 8
    mov edi, PAGE(0)
    mov ecx, 0x2010
    rep movsb
    mov [result], ecx
    FAULTS "rep_restarts", X_PF, 0, PAGE(4)
    EQUALS "rep_restarts_ecx", dword [result], 0
    EQUALS "rep_restarts_once", dword [got_count], 1
    EQUALS "rep_restarts_copied", dword [PAGE(1) + 8], 0x03020100
    ; One instruction, two faults: source, then destination.
    call prepare
    SET 5, 0
    mov dword [PHYS(4)], 0xcafe
    mov dword [hook], mend
    mov dword [got_count], 0
    BEGIN
    push dword [PAGE(4)]
    pop dword [PAGE(5) + 8]
    FAULTS "push_pop_restart", X_PF
    EQUALS "push_pop_restart_faults", dword [got_count], 2
    EQUALS "push_pop_restart_value", dword [PAGE(5) + 8], 0xcafe
    ; ADC reads flags once.
    call prepare
    mov dword [PHYS(4)], 10
    mov dword [hook], mend
    BEGIN
    mov eax, 5
    stc
    adc [PAGE(4)], eax
    FAULTS "adc_restarts", X_PF, EW, PAGE(4)
    EQUALS "adc_restarts_once", dword [PAGE(4)], 16
    call prepare
    mov dword [PHYS(4)], 10
    mov dword [hook], mend
    BEGIN
    mov eax, 5
    xadd [PAGE(4)], eax
    mov [result], eax
    FAULTS "xadd_restarts", X_PF, EW, PAGE(4)
    EQUALS "xadd_restarts_memory", dword [PAGE(4)], 15
    EQUALS "xadd_restarts_register", dword [result], 10
    ; Code in the page that is absent.
    call prepare
    mov dword [PHYS(4)], 0x000777b8
    mov dword [PHYS(4) + 4], 0xc300
    mov dword [hook], mend
    BEGIN
    mov edx, PAGE(4)
    call edx
    mov [result], eax
    FAULTS "fetch_restarts", X_PF, ANY, PAGE(4)
    EQUALS "fetch_restarts_ip", dword [got_ip], PAGE(4)
    EQUALS "fetch_restarts_value", dword [result], 0x777
    mov dword [hook], 0
    ret
section .data
result: dd 0
section .text

; What a faulting instruction has not done.
registers:
    call prepare
    BEGIN
    mov eax, 0x1111
    mov ebx, PAGE(4)
AT  xchg [ebx], eax
    FAULTS "xchg", X_PF, EW, PAGE(4)
    EQUALS "xchg_eax", dword [got_eax], 0x1111
    ; The stack of user code, so that the handler has its own.
    BEGIN
    USER
    mov esp, PAGE(5)
AT  pushad
    FAULTS "pushad", X_PF, EW | EU
    EQUALS "pushad_esp", dword [got_sp], PAGE(5)
    BEGIN
    mov ecx, PAGE(4)
    USER
    mov esp, PAGE(3) + 0x800
AT  push dword [ecx]
    FAULTS "push_memory", X_PF, EU, PAGE(4)
    EQUALS "push_memory_esp", dword [got_sp], PAGE(3) + 0x800
    BEGIN
    USER
    mov esp, PAGE(3) + 0x800
AT  pop dword [PAGE(4)]
    FAULTS "pop_memory", X_PF, EU | EW, PAGE(4)
    EQUALS "pop_memory_esp", dword [got_sp], PAGE(3) + 0x800
    ; POP to [ESP + n] counts with the ESP after the pop.
    BEGIN
    USER
    mov esp, PAGE(3) + 0xff8
AT  pop dword [esp + 4]
    FAULTS "pop_esp_relative", X_PF, EU | EW, PAGE(4)
    EQUALS "pop_esp_relative_esp", dword [got_sp], PAGE(3) + 0xff8
    BEGIN
    mov edx, PAGE(1)
    USER
    mov esp, PAGE(5)
AT  call edx
    FAULTS "call_no_stack", X_PF, EU | EW, PAGE(4) + 0xffc
    EQUALS "call_no_stack_esp", dword [got_sp], PAGE(5)
    BEGIN
    USER
    mov esp, PAGE(4) + 0x10
AT  ret 8
    FAULTS "ret_no_stack", X_PF, EU, PAGE(4) + 0x10
    EQUALS "ret_no_stack_esp", dword [got_sp], PAGE(4) + 0x10
    BEGIN
    USER
    mov ebp, PAGE(4) + 0x10
    mov esp, PAGE(3)
AT  leave
    FAULTS "leave_no_stack", X_PF, EU, PAGE(4) + 0x10
    EQUALS "leave_no_stack_esp", dword [got_sp], PAGE(3)
    EQUALS "leave_no_stack_ebp", dword [got_ebp], PAGE(4) + 0x10
    BEGIN
    USER
    mov ebp, 0x1234
    mov esp, PAGE(5) + 2
AT  enter 16, 0
    FAULTS "enter_no_stack", X_PF, EU | EW, PAGE(4) + 0xffe
    EQUALS "enter_no_stack_esp", dword [got_sp], PAGE(5) + 2
    EQUALS "enter_no_stack_ebp", dword [got_ebp], 0x1234
    BEGIN
    USER
    mov esp, PAGE(5)
    std
AT  pushfd
    FAULTS "pushfd_no_stack", X_PF, EU | EW, PAGE(4) + 0xffc
    EQUALS "pushfd_no_stack_esp", dword [got_sp], PAGE(5)
    BEGIN
    mov eax, 0x01020304
    mov edx, 0x05060708
AT  cmpxchg8b [PAGE(4)]
    FAULTS "cmpxchg8b", X_PF, EW, PAGE(4)
    EQUALS "cmpxchg8b_eax", dword [got_eax], 0x01020304
    ; Flags stay as they were.
    BEGIN
    xor eax, eax
    stc
AT  add eax, [PAGE(4)]
    FAULTS "add_flags", X_PF, 0, PAGE(4)
    mov eax, [got_flags]
    and eax, 0x8d5
    EQUALS "add_flags_kept", eax, 0x45
    ; Division: the dividend stays; #DE is a fault at the instruction.
    BEGIN
    mov eax, 1
    mov edx, 2
    xor ecx, ecx
AT  div ecx
    FAULTS "div_by_zero", X_DE
    EQUALS "div_by_zero_edx", dword [got_edx], 2
    BEGIN
    mov eax, 0x80000000
    cdq
    mov ecx, -1
AT  idiv ecx
    FAULTS "idiv_overflow", X_DE
    ; Traps point behind, faults at the instruction.
    BEGIN
    int3
AT  nop
    FAULTS "int3_is_a_trap", X_BP
    BEGIN
    mov al, 0x7f
    inc al
    into
AT  nop
    FAULTS "into_is_a_trap", X_OF
    BEGIN
    mov eax, 11
AT  bound eax, [.bounds]
    FAULTS "bound_is_a_fault", X_BR
    BEGIN
    mov eax, 10
    bound eax, [.bounds]
    RUNS "bound_within"
    BEGIN
AT  ud2
    FAULTS "ud2", X_UD
    BEGIN
AT  times 15 es
    nop
    FAULTS "sixteen_bytes", X_GP, 0
    BEGIN
AT  db 0xf0
    mov [PAGE(0)], eax
    FAULTS "lock_mov", X_UD
    BEGIN
AT  db 0xf0
    add eax, ebx
    FAULTS "lock_register", X_UD
    BEGIN
    USER
AT  hlt
    FAULTS "user_hlt", X_GP, 0
    BEGIN
    USER
AT  mov eax, cr0
    FAULTS "user_cr0", X_GP, 0
    BEGIN
    USER
AT  in al, 0x80
    FAULTS "user_in", X_GP, 0
    BEGIN
    USER
AT  sti
    FAULTS "user_sti", X_GP, 0
    BEGIN
    USER
AT  int 0x31
    FAULTS "user_int_dpl", X_GP, 0x31 * 8 + 2
    BEGIN
AT  int 0x41
    FAULTS "int_beyond_idt", X_GP, 0x41 * 8 + 2
    and byte [idt + 0x31 * 8 + 5], 0x7f
    BEGIN
AT  int 0x31
    FAULTS "int_gate_absent", X_NP, 0x31 * 8 + 2
    or byte [idt + 0x31 * 8 + 5], 0x80
    ; #AC: misaligned user data with AM and AC.
    mov eax, cr0
    or eax, 1 << 18
    mov cr0, eax
    BEGIN
    USER
    pushfd
    or dword [esp], 1 << 18
    popfd
    mov eax, [PAGE(0) + 4]
    mov ax, [PAGE(0) + 6]
AT  mov eax, [PAGE(0) + 6]
    FAULTS "alignment", X_AC, 0
    BEGIN
    USER
    pushfd
    or dword [esp], 1 << 18
    popfd
AT  mov eax, [PAGE(4) + 1]
    FAULTS "alignment_before_page_fault", X_AC, 0
    BEGIN
    pushfd
    or dword [esp], 1 << 18
    popfd
    mov eax, [PAGE(0) + 6]
    RUNS "alignment_supervisor"
    mov eax, cr0
    and eax, ~(1 << 18)
    mov cr0, eax
    ret
section .data
align 4
.bounds: dd -5, 10
section .text

ports:
    ; INS and OUTS fault before the port is touched. Port 0x80 swallows anything.
    call prepare
    BEGIN
    mov edi, PAGE(4) - 2
    mov ecx, 5
    mov edx, 0x80
AT  rep insb
    FAULTS "insb", X_PF, EW, PAGE(4)
    EQUALS "insb_ecx", dword [got_ecx], 3
    BEGIN
    mov esi, PAGE(4) - 2
    mov ecx, 5
    mov edx, 0x80
AT  rep outsb
    FAULTS "outsb", X_PF, 0, PAGE(4)
    EQUALS "outsb_ecx", dword [got_ecx], 3
    ret
