; 32-bit paging: rights, error codes, CR2, accessed and dirty bits, 4 MiB pages, reserved bits,
; INVLPG, global pages, accesses over two pages. SDM 3A 4.3, 4.6 to 4.8, 4.10.
%define UOFF 0x40000000
%include "lib.inc"
%include "rights.inc"

PD      equ 0x200000
PT0     equ 0x201000    ; 0..4 MiB, supervisor
PT1     equ 0x202000    ; the same from UOFF on, user
PT2     equ 0x206000    ; TL: pages of the tests, physical TP on
PT0B    equ 0x207000    ; 4..8 MiB
TL      equ 0x80000000
TP      equ 0x400000

; Entry n of PT2, and flushing its page.
%define PTE(n) dword [PT2 + (n) * 4]
%define PAGE(n) (TL + (n) * 0x1000)
%define PHYS(n) (TP + (n) * 0x1000)
%macro SET 2
    mov PTE(%1), %2
    invlpg [PAGE(%1)]
%endmacro

main:
    mov edi, PD
    mov ecx, 0x8000 / 4
    xor eax, eax
    rep stosd
    mov dword [PD], PT0 + 3
    mov dword [PD + 4], PT0B + 3
    mov dword [PD + (UOFF >> 22) * 4], PT1 + 7
    mov dword [PD + (TL >> 22) * 4], PT2 + 7
    xor ecx, ecx
.fill:
    mov eax, ecx
    shl eax, 12
    lea edx, [eax + 3]
    mov [PT0 + ecx * 4], edx
    lea edx, [eax + 0x400003]
    mov [PT0B + ecx * 4], edx
    lea edx, [eax + 7]
    mov [PT1 + ecx * 4], edx
    lea edx, [eax + TP + 7]
    mov [PT2 + ecx * 4], edx
    inc ecx
    cmp ecx, 1024
    jb .fill
    mov eax, PD
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80010000
    mov cr0, eax
    mov word [PAGE(0)], 0x30cd  ; int 0x30

    mov dword [r_pte], PT2
    mov dword [r_pde], PD + (TL >> 22) * 4
    mov dword [r_la], PAGE(0)
    call has_smep
    mov [r_has], eax
    call rights_all
    EQUALS "rights_32bit_first_wrong", dword [r_bad], -1
    EQUALS "rights_32bit_wrong", dword [r_count], 0

    call errors
    call accessed
    call crossing
    call large
    call flushing
    ret

; eax: 2 SMEP, 4 SMAP, as CPUID has them.
has_smep:
    xor eax, eax
    cpuid
    cmp eax, 7
    mov eax, 0
    jb .none
    mov eax, 7
    xor ecx, ecx
    cpuid
    xor eax, eax
    test ebx, 1 << 7
    jz .smap
    or al, 2
.smap:
    test ebx, 1 << 20
    jz .none
    or al, 4
.none:
    ret

errors:
    SET 1, 0
    mov word [PAGE(6)], TEST1 + 3
    BEGIN
AT  mov eax, [PAGE(1) + 0x123]
    FAULTS "absent_read", X_PF, 0, PAGE(1) + 0x123
    BEGIN
AT  mov byte [PAGE(1) + 0xfff], 1
    FAULTS "absent_write", X_PF, EW, PAGE(1) + 0xfff
    BEGIN
    mov eax, PAGE(1) + 4
    USER
AT  mov ebx, [eax]
    FAULTS "absent_user_read", X_PF, EU, PAGE(1) + 4
    BEGIN
    mov eax, PAGE(1) + 4
    USER
AT  add [eax], ebx
    FAULTS "absent_user_rmw_is_a_write", X_PF, EU | EW, PAGE(1) + 4
    BEGIN
AT  add dword [PAGE(1) + 8], 0
    FAULTS "absent_rmw_is_a_write", X_PF, EW, PAGE(1) + 8
    BEGIN
AT  cmp dword [PAGE(1) + 8], 0
    FAULTS "absent_cmp_is_a_read", X_PF, 0, PAGE(1) + 8
    BEGIN
    mov eax, 1
AT  cmpxchg [PAGE(1) + 8], eax
    FAULTS "absent_cmpxchg_is_a_write", X_PF, EW, PAGE(1) + 8
    BEGIN
AT  bt dword [PAGE(1) + 8], 3
    FAULTS "absent_bt_is_a_read", X_PF, 0, PAGE(1) + 8
    BEGIN
AT  push dword [PAGE(1)]
    FAULTS "absent_push_reads", X_PF, 0, PAGE(1)
    BEGIN
AT  pop dword [PAGE(1)]
    FAULTS "absent_pop_writes", X_PF, EW, PAGE(1)
    EQUALS "pop_fault_keeps_esp", dword [got_sp], dword [catch_sp]
    ; A shift by zero still writes (as processors do).
    BEGIN
    xor ecx, ecx
AT  shl dword [PAGE(1)], cl
    FAULTS "absent_shift_by_zero_is_a_write", X_PF, EW, PAGE(1)

    ; The upper entry is absent.
    mov dword [PD + (0xc0000000 >> 22) * 4], 0
    BEGIN
AT  mov eax, [0xc0000ffc]
    FAULTS "absent_table", X_PF, 0, 0xc0000ffc
    ; Tables outside of memory: all ones there, so the entry looks present (page 0xfffff000).
    mov dword [PD + (0xc0000000 >> 22) * 4], 0xe0000007
    BEGIN
AT  mov eax, [0xc0000ffc]
    RUNS "table_in_nowhere"
    mov dword [PD + (0xc0000000 >> 22) * 4], 0
    mov eax, cr3
    mov cr3, eax

    ; User code may not look at the supervisor's pages.
    BEGIN
    USER
AT  mov eax, [0x100000]
    FAULTS "user_reads_supervisor", X_PF, EP | EU, 0x100000
    BEGIN
    mov eax, 0x100004
    USER
    jmp eax
    FAULTS "user_runs_supervisor", X_PF
    EQUALS "user_runs_supervisor_ip", dword [got_ip], 0x100004
    EQUALS "user_runs_supervisor_cr2", dword [got_cr2], 0x100004

    ; An implicit supervisor access (descriptor table) by user code: U is clear.
    ; The table's first entries lie in one page, which the handler needs, TEST1 in the next.
    mov esi, gdt
    mov edi, PAGE(1) - TEST1
    mov ecx, TEST1 / 4
    rep movsd
    SET 1, 0
    lgdt [other_gdt]
    BEGIN
AT  mov gs, [other_sel]
    FAULTS "descriptor_read_fault", X_PF, 0, PAGE(1) + 0
    BEGIN
    USER
AT  mov gs, [PAGE(6)]
    FAULTS "descriptor_read_fault_of_user", X_PF, 0, PAGE(1) + 0
    lgdt [gdt_ptr]
    SET 1, PHYS(1) + 7
    ret
section .data
align 4
other_gdt: dw gdt_end - gdt - 1
    dd PAGE(1) - TEST1
other_sel: dw TEST1
section .text

accessed:
    mov dword [PD + (TL >> 22) * 4], PT2 + 7
    SET 2, PHYS(2) + 7
    mov eax, cr3
    mov cr3, eax
    mov eax, [PAGE(2)]
    EQUALS "read_sets_accessed", PTE(2), PHYS(2) + 0x27
    EQUALS "read_sets_accessed_above", dword [PD + (TL >> 22) * 4], PT2 + 0x27
    mov [PAGE(2)], eax
    EQUALS "write_sets_dirty", PTE(2), PHYS(2) + 0x67
    EQUALS "write_sets_no_dirty_above", dword [PD + (TL >> 22) * 4], PT2 + 0x27
    SET 2, PHYS(2) + 7
    or dword [PAGE(2)], 0
    EQUALS "rmw_sets_both", PTE(2), PHYS(2) + 0x67
    ; A refused access leaves the page's bits alone.
    SET 2, PHYS(2) + 5
    BEGIN
AT  mov [PAGE(2)], eax
    FAULTS "write_protected", X_PF, EP | EW, PAGE(2)
    EQUALS "refused_write_sets_nothing", PTE(2), PHYS(2) + 5
    SET 2, PHYS(2) + 3
    BEGIN
    mov eax, PAGE(2)
    USER
AT  mov [eax], eax
    FAULTS "user_write_supervisor", X_PF, EP | EW | EU, PAGE(2)
    EQUALS "refused_user_write_sets_nothing", PTE(2), PHYS(2) + 3
    ; Dirty again after it was cleared and flushed.
    SET 2, PHYS(2) + 7
    mov [PAGE(2)], eax
    SET 2, PHYS(2) + 7
    mov [PAGE(2)], eax
    EQUALS "dirty_set_again_after_invlpg", PTE(2), PHYS(2) + 0x67
    ; A fetch sets accessed, not dirty.
    SET 3, PHYS(3) + 7
    mov byte [PAGE(3)], 0xc3
    SET 3, PHYS(3) + 7
    mov eax, PAGE(3)
    call eax
    EQUALS "fetch_sets_accessed", PTE(3), PHYS(3) + 0x27
    SET 2, PHYS(2) + 7
    SET 3, PHYS(3) + 7
    ret

; Accesses over two pages: both are checked before anything happens; CR2 is the first byte that
; cannot be reached.
crossing:
    SET 4, PHYS(4) + 7
    SET 5, PHYS(9) + 7          ; not neighbours in memory
    mov dword [PAGE(4) + 0xffe], 0x44332211
    EQUALS "cross_write_low", dword [PHYS(4) + 0xffc], 0x22110000
    movzx eax, word [PHYS(9)]
    EQUALS "cross_write_high", eax, 0x4433
    mov eax, [PAGE(4) + 0xffd]
    EQUALS "cross_read", eax, 0x33221100
    SET 5, 0
    BEGIN
AT  mov eax, [PAGE(4) + 0xffd]
    FAULTS "cross_read_second_absent", X_PF, 0, PAGE(5)
    SET 4, PHYS(4) + 7
    BEGIN
AT  mov dword [PAGE(4) + 0xffd], -1
    FAULTS "cross_write_second_absent", X_PF, EW, PAGE(5)
    EQUALS "cross_write_fault_changes_nothing", dword [PHYS(4) + 0xffc], 0x22110000
    SET 5, PHYS(9) + 5
    BEGIN
AT  xadd [PAGE(4) + 0xffd], eax
    FAULTS "cross_rmw_second_readonly", X_PF, EP | EW, PAGE(5)
    EQUALS "cross_rmw_fault_changes_nothing", dword [PHYS(4) + 0xffc], 0x22110000
    SET 4, 0
    BEGIN
AT  mov eax, [PAGE(4) + 0xfff]
    FAULTS "cross_read_first_absent", X_PF, 0, PAGE(4) + 0xfff
    SET 5, 0
    BEGIN
AT  mov eax, [PAGE(4) + 0xfff]
    FAULTS "cross_read_both_absent", X_PF, 0, PAGE(4) + 0xfff
    ; An instruction over two pages.
    SET 4, PHYS(4) + 7
    SET 5, PHYS(9) + 7
    mov dword [PAGE(4) + 0xffd], 0x332211b8 ; mov eax, 0x44332211
    mov dword [PAGE(5) + 1], 0x0000c344     ; ret
    mov byte [PAGE(5)], 0x33
    mov byte [PAGE(4) + 0xffd], 0xb8
    mov byte [PAGE(4) + 0xffe], 0x11
    mov byte [PAGE(4) + 0xfff], 0x22
    mov ecx, PAGE(4) + 0xffd
    call ecx
    EQUALS "cross_instruction", eax, 0x44332211
    SET 5, 0
    BEGIN
    mov ecx, PAGE(4) + 0xffd
    call ecx
    FAULTS "cross_instruction_second_absent", X_PF, ANY, PAGE(5)
    EQUALS "cross_instruction_fault_ip", dword [got_ip], PAGE(4) + 0xffd
    SET 5, PHYS(9) + 7
    mov dword [PAGE(5)], 0x00c35533         ; another end: 0x55
    mov ecx, PAGE(4) + 0xffd
    call ecx
    EQUALS "cross_instruction_restarted", eax, 0x55332211
    SET 5, PHYS(5) + 7                      ; the second page is another one now
    mov dword [PAGE(5)], 0x00c36677
    call ecx
    EQUALS "cross_instruction_remapped", eax, 0x66772211
    ret

large:
    mov eax, cr4
    test byte [cpuid_edx], 1 << 3
    jz .none
    or eax, 0x10                ; PSE
    mov cr4, eax
    mov dword [PD + (0xc0000000 >> 22) * 4], 0x400087
    mov dword [PHYS(6) + 0x10], 0x12345678
    mov eax, [0xc0000000 + 0x6010]
    EQUALS "large_page_reads", eax, 0x12345678
    EQUALS "large_page_accessed", dword [PD + (0xc0000000 >> 22) * 4], 0x4000a7
    or dword [0xc0000000 + 0x6010], 0
    EQUALS "large_page_dirty", dword [PD + (0xc0000000 >> 22) * 4], 0x4000e7
    ; INVLPG of any address in it takes the whole page.
    mov ebx, [0xc0000000]
    mov ebx, [0xc0007000]
    mov dword [PD + (0xc0000000 >> 22) * 4], 0x000087
    invlpg [0xc0123456]
    mov eax, [0xc0100000]
    EQUALS "large_page_invlpg", eax, dword [0x100000]
    mov eax, [0xc0100004]
    EQUALS "large_page_invlpg_all", eax, dword [0x100004]
    ; Bit 21 is reserved in a 4 MiB entry whatever PSE-36 has.
    mov dword [PD + (0xc0000000 >> 22) * 4], 0x600087
    invlpg [0xc0000000]
    BEGIN
AT  mov eax, [0xc0001234]
    FAULTS "large_page_reserved_bit", X_PF, EP | ER, 0xc0001234
    BEGIN
    USER
AT  mov [0xc0001234], eax
    FAULTS "large_page_reserved_bit_user_write", X_PF, EP | ER | EW | EU, 0xc0001234
    mov eax, cr4
    and al, ~0x10
    mov cr4, eax
    ; Without PSE the bit means nothing: a table at 0x600000.
    mov dword [0x600004], PHYS(6) + 7
    mov eax, cr3
    mov cr3, eax
    mov eax, [0xc0001010]
    EQUALS "ps_ignored_without_pse", eax, 0x12345678
    mov dword [PD + (0xc0000000 >> 22) * 4], 0
    mov eax, cr3
    mov cr3, eax
.none:
    ret

flushing:
    SET 8, PHYS(8) + 7
    SET 9, PHYS(9) + 7
    mov dword [PHYS(8)], 8
    mov dword [PHYS(9)], 9
    mov eax, [PAGE(8)]
    mov PTE(8), PHYS(9) + 7
    invlpg [PAGE(8) + 0xabc]
    mov eax, [PAGE(8)]
    EQUALS "invlpg_flushes", eax, 9
    mov PTE(8), PHYS(8) + 7
    mov eax, cr3
    mov cr3, eax
    mov eax, [PAGE(8)]
    EQUALS "mov_cr3_flushes", eax, 8
    ; From absent to present needs no flush: absent entries are not cached.
    SET 8, 0
    BEGIN
AT  mov eax, [PAGE(8)]
    FAULTS "absent_before", X_PF, 0, PAGE(8)
    mov PTE(8), PHYS(8) + 7
    BEGIN
AT  mov eax, [PAGE(8)]
    RUNS "absent_is_not_cached"
    ; Fault, mend in the handler, restart.
    SET 8, 0
    mov dword [hook], .mend
    BEGIN
    mov eax, 0
AT  add eax, [PAGE(8)]
    mov [.value], eax
    FAULTS "mended_ran", X_PF, 0, PAGE(8)
    mov dword [hook], 0
    EQUALS "mended_value", dword [.value], 8
    EQUALS "mended_once", dword [got_count], 1

    test byte [cpuid_edx + 1], 1 << 5
    jz .none
    ; Global pages: INVLPG takes them, a change of CR4.PGE takes all.
    mov eax, cr4
    or al, 0x80
    mov cr4, eax
    SET 8, PHYS(8) + 0x107
    mov eax, [PAGE(8)]
    mov PTE(8), PHYS(9) + 0x107
    invlpg [PAGE(8)]
    mov eax, [PAGE(8)]
    EQUALS "invlpg_takes_global", eax, 9
    mov PTE(8), PHYS(8) + 0x107
    mov eax, cr4
    and al, ~0x80
    mov cr4, eax
    mov eax, [PAGE(8)]
    EQUALS "pge_change_flushes_global", eax, 8
    ; A page without G beside it goes with CR3.
    mov eax, cr4
    or al, 0x80
    mov cr4, eax
    SET 9, PHYS(9) + 7
    mov eax, [PAGE(9)]
    mov PTE(9), PHYS(8) + 7
    mov eax, cr3
    mov cr3, eax
    mov eax, [PAGE(9)]
    EQUALS "mov_cr3_flushes_with_pge", eax, 8
    mov eax, cr4
    and al, ~0x80
    mov cr4, eax
.none:
    ; Paging off and on again flushes.
    SET 9, PHYS(9) + 7
    mov eax, [PAGE(9)]
    mov PTE(9), PHYS(8) + 7
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    EQUALS "without_paging_linear_is_physical", dword [PHYS(9)], 9
    or eax, 0x80000000
    mov cr0, eax
    mov eax, [PAGE(9)]
    EQUALS "paging_off_flushes", eax, 8
    ret
.mend:
    mov PTE(8), PHYS(8) + 7
    ret
section .data
.value: dd 0
cpuid_edx: dd 0xffffffff
section .text
