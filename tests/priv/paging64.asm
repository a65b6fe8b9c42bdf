; 4-level paging: rights with NX, SMEP and SMAP, reserved bits at every level, error codes, accessed
; and dirty bits, 2 MiB and 1 GiB pages, INVLPG, INVPCID, PCIDs, global pages, canonical addresses.
; SDM 3A 4.5 to 4.8, 4.10.
%define UOFF 0x40000000
%include "lib.inc"
%include "long.inc"
%include "rights.inc"

%define PTE(n) qword [PT2 + (n) * 8]
%define PAGE(n) (TL + (n) * 0x1000)
%define PHYS(n) (TP + (n) * 0x1000)
%macro SET 2
    mov rax, %2
    mov PTE(%1), rax
    mov eax, PAGE(%1)
    invlpg [rax]
%endmacro
; Loads of the dword at a 64-bit linear address, through rbx.
%macro GET 1
    mov rbx, %1
    mov eax, [rbx]
%endmacro

main64:
    call features
    mov ebx, PAGE(0)
    mov word [rbx], 0x30cd              ; int 0x30
    mov dword [r_pte], PT2
    mov dword [r_pde], PD2
    mov dword [r_la], PAGE(0)
    mov dword [r_nxe], 1
    mov eax, [has]
    and eax, 7
    mov [r_has], eax
    call rights_all
    movsxd rax, dword [r_bad]
    EQUALS "rights_pde", rax, -1
    mov eax, [r_count]
    EQUALS "rights_pde_wrong", rax, 0
    ; The same with the upper bits in the PDPTE and in the PML4E. The latter maps the code too, so
    ; the page is reached through an entry of its own.
    mov dword [r_pde], PDPT + 16
    call rights_all
    movsxd rax, dword [r_bad]
    EQUALS "rights_pdpte", rax, -1
    ; EFER.NXE off: XD is a reserved bit then, and a fetch is told by SMEP alone.
    mov ecx, 0xc0000080
    rdmsr
    and eax, ~0x800
    wrmsr
    mov dword [r_nxe], 0
    and dword [r_has], 6
    call rights_all
    movsxd rax, dword [r_bad]
    EQUALS "rights_without_nxe", rax, -1
    mov rax, 1 << 63
    or PTE(0), rax
    mov eax, PAGE(0)
    invlpg [rax]
    BEGIN
AT  mov ecx, [rax]
    FAULTS "xd_reserved_without_nxe", X_PF, EP | ER, PAGE(0)
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x800
    wrmsr
    mov eax, PAGE(0)
    invlpg [rax]
    BEGIN
    mov ecx, [rax]
    RUNS "xd_data_read"
    BEGIN
    call rax
    FAULTS "xd_fetch", X_PF, EP | EI, PAGE(0)
    mov rax, cr4
    and eax, ~0x300000                  ; SMEP, SMAP off from here on
    mov cr4, rax

    call reserved_bits
    call accessed
    call big_pages
    call implicit
    call canonical
    call pcids
    ret

; has: 1 NX, 2 SMEP, 4 SMAP, 8 PCID, 16 INVPCID, 32 1 GiB pages.
features:
    mov dword [has], 0
    mov eax, 0x80000001
    cpuid
    bt edx, 20
    jnc .nx
    or dword [has], 1
.nx:
    bt edx, 26
    jnc .gb
    or dword [has], 32
.gb:
    mov eax, 7
    xor ecx, ecx
    cpuid
    bt ebx, 7
    jnc .smep
    or dword [has], 2
.smep:
    bt ebx, 20
    jnc .smap
    or dword [has], 4
.smap:
    bt ebx, 10
    jnc .invpcid
    or dword [has], 16
.invpcid:
    mov eax, 1
    cpuid
    bt ecx, 17
    jnc .pcid
    or dword [has], 8
.pcid:
    mov eax, 0x80000008
    cpuid
    movzx eax, al
    mov [maxphy], eax
    ret
section .data
has: dd 0
maxphy: dd 0
section .text

; Each bit of an entry that leads to PAGE(0), one at a time; a fault with RSVD is expected for those
; of a mask, none for the others that are tried. ebx: the entry, rdx: bits to try, rsi: reserved.
; Result: eax, the number that were wrong.
try_bits:
    mov r8, rdx
    mov r9, rsi
    mov r10, [rbx]
    xor r12d, r12d
    xor ecx, ecx
.next:
    bt r8, rcx
    jnc .skip
    mov rax, r10
    bts rax, rcx
    mov [rbx], rax
    mov rax, cr3
    mov cr3, rax
    mov dword [got_vec], NONE
    mov dword [catch_ip], .caught
    mov [catch_sp], rsp
    mov eax, PAGE(0)
    mov eax, [rax]
    mov dword [catch_ip], 0
.caught:
    bt r9, rcx
    jc .reserved
    cmp dword [got_vec], NONE
    je .skip
    jmp .bad
.reserved:
    cmp dword [got_vec], X_PF
    jne .bad
    cmp dword [got_err], EP | ER
    jne .bad
    cmp dword [got_cr2], PAGE(0)
    je .skip
.bad:
    inc r12d
.skip:
    inc ecx
    cmp ecx, 64
    jb .next
    mov [rbx], r10
    mov rax, cr3
    mov cr3, rax
    mov eax, r12d
    ret

; Bits maxphy..51.
high_bits:
    mov ecx, [maxphy]
    mov rax, -1
    shl rax, cl
    mov rdx, 0x000fffffffffffff
    and rax, rdx
    ret

reserved_bits:
    call high_bits
    mov rbp, rax
    ; Bits that lead elsewhere are not tried, nor P, R/W, U/S and XD.
    mov rdi, 0x7ff0000000000f18         ; ignored by all: 62:52, 11:8; 4:3 PCD, PWT
    lea ebx, [PT2]
    mov rdx, rdi
    or rdx, rbp
    or rdx, 0xe0                        ; A, D, PAT
    mov rsi, rbp
    call try_bits
    EQUALS "reserved_bits_pte", rax, 0
    mov ebx, PD2
    mov rdx, rdi
    or rdx, rbp
    or rdx, 0x60
    mov rsi, rbp
    call try_bits
    EQUALS "reserved_bits_pde", rax, 0
    mov ebx, PDPT + 16
    mov rdx, rdi
    or rdx, rbp
    or rdx, 0x60
    mov rsi, rbp
    call try_bits
    EQUALS "reserved_bits_pdpte", rax, 0
    ; A 2 MiB page: 20:13 are reserved.
    mov rax, qword [PD2]
    push rax
    mov qword [PD2], TP + 0x87
    mov ebx, PD2
    mov rdx, rdi
    or rdx, rbp
    or rdx, 0x1ff060
    mov rsi, rbp
    or rsi, 0x1fe000
    call try_bits
    EQUALS "reserved_bits_2m", rax, 0
    pop rax
    mov [PD2], rax
    ; A 1 GiB page: 29:13.
    test byte [has], 32
    jz .no_gb
    mov rax, qword [PDPT + 16]
    push rax
    mov qword [PDPT + 16], 0x87
    mov ebx, PDPT + 16
    mov rdx, rdi
    or rdx, rbp
    or rdx, 0x3ffff060
    mov rsi, rbp
    or rsi, 0x3fffe000
    call try_bits
    EQUALS "reserved_bits_1g", rax, 0
    pop rax
    mov [PDPT + 16], rax
.no_gb:
    ; The PML4E's bit 7: an entry of its own for the upper half of the address space.
    mov qword [PML4 + 8 * 300], PDPT + 0x87
    mov rax, cr3
    mov cr3, rax
    mov rbx, 0xffff960000000000 + PAGE(0)
    BEGIN
AT  mov eax, [rbx]
    FAULTS "reserved_bit_7_pml4e", X_PF, EP | ER, PAGE(0)
    EQUALS "reserved_bit_7_pml4e_cr2", qword [got_rcr2], rbx
    mov qword [PML4 + 8 * 300], PDPT + 7
    BEGIN
AT  mov eax, [rbx]
    RUNS "upper_half"
    ret

accessed:
    mov dword [PD2], PT2 + 7
    SET 2, PHYS(2) + 7
    mov rax, cr3
    mov cr3, rax
    mov ebx, PAGE(2)
    BEGIN
    USER
    mov eax, [rbx]
    RUNS "user_read"
    EQUALS "read_sets_accessed", PTE(2), PHYS(2) + 0x27
    EQUALS "read_sets_accessed_pde", qword [PD2], PT2 + 0x27
    mov [rbx], eax
    EQUALS "write_sets_dirty", PTE(2), PHYS(2) + 0x67
    ; A write that is refused, by rights or by a second page, sets no dirty bit.
    SET 2, PHYS(2) + 5
    BEGIN
AT  mov [rbx], eax
    FAULTS "write_protected", X_PF, EP | EW, PAGE(2)
    EQUALS "refused_write_not_dirty", PTE(2), PHYS(2) + 5
    SET 2, PHYS(2) + 7
    SET 3, 0
    BEGIN
AT  mov [rbx + 0xffc], rax
    FAULTS "cross_write_second_absent", X_PF, EW, PAGE(3)
    mov rax, PTE(2)
    and eax, 0x40
    EQUALS "cross_write_second_absent_not_dirty", rax, 0
    SET 3, PHYS(3) + 7
    ret

big_pages:
    mov qword [PD2 + 8], 0x400087
    mov dword [PHYS(6) + 0x10], 0x12345678
    GET TL + 0x200000 + 0x6010
    EQUALS "page_2m", rax, 0x12345678
    ; INVLPG of any byte takes all of it.
    mov qword [PD2 + 8], 0x000087
    mov ebx, TL + 0x212345
    invlpg [rbx]
    GET TL + 0x200000 + 0x100000
    mov ecx, [0x100000]
    EQUALS "page_2m_invlpg", rax, rcx
    GET TL + 0x200000 + 0x106010
    mov ecx, [0x106010]
    EQUALS "page_2m_invlpg_all", rax, rcx
    mov qword [PD2 + 8], 0
    mov ebx, TL + 0x200000
    invlpg [rbx]
    test byte [has], 32
    jz .none
    mov qword [PDPT + 24], 0x83
    GET 0xc0000000 + PHYS(6) + 0x10
    EQUALS "page_1g", rax, 0x12345678
    mov [rbx], eax
    mov rax, [PDPT + 24]
    EQUALS "page_1g_accessed_dirty", rax, 0xe3
    mov qword [PDPT + 24], 0x81
    mov ebx, 0xfffff000
    invlpg [rbx]
    mov ebx, 0xc0000000 + PHYS(6)
    BEGIN
AT  mov [rbx], eax
    FAULTS "page_1g_invlpg", X_PF, EP | EW, 0xc0000000 + PHYS(6)
    mov qword [PDPT + 24], 0
    mov rax, cr3
    mov cr3, rax
.none:
    ret

; Accesses that the processor makes for itself are a supervisor's, and SMAP holds for them whatever
; EFLAGS.AC says; SMAP faults are not about presence.
implicit:
    test byte [has], 4
    jz .none
    mov rax, cr4
    or eax, 0x200000
    mov cr4, rax
    SET 4, PHYS(4) + 7
    mov ebx, PAGE(4)
    BEGIN
AT  mov eax, [rbx]
    FAULTS "smap_read", X_PF, EP, PAGE(4)
    BEGIN
AT  mov [rbx], eax
    FAULTS "smap_write", X_PF, EP | EW, PAGE(4)
    BEGIN
    stac
    mov eax, [rbx]
    clac
    RUNS "smap_stac"
    BEGIN
AT  mov eax, [rbx]
    FAULTS "smap_clac", X_PF, EP, PAGE(4)
    BEGIN
    USER
    mov eax, [rbx]
    RUNS "smap_user"
    ; The end of the descriptor table in a user page; what the handler needs in the supervisor's.
    SET 3, PHYS(3) + 3
    mov esi, gdt
    mov edi, PAGE(4) - TEST1
    stac
    mov ecx, TEST1 / 4
    rep movsd
    lgdt [other_gdt]
    BEGIN
    stac
AT  mov gs, [other_sel]
    FAULTS "smap_implicit_ignores_ac", X_PF, EP, PAGE(4)
    lgdt [gdt_ptr]
    clac
    SET 3, PHYS(3) + 7
    mov rax, cr4
    and eax, ~0x200000
    mov cr4, rax
.none:
    ret
section .data
align 4
other_gdt: dw gdt_end - gdt - 1
    dq PAGE(4) - TEST1
other_sel: dw TEST1
section .text

canonical:
    mov rbx, 0x0000800000000000
    BEGIN
AT  mov eax, [rbx]
    FAULTS "noncanonical_read", X_GP, 0
    BEGIN
AT  mov [rbx - 1], ax
    FAULTS "noncanonical_second_byte", X_GP, 0
    BEGIN
    mov rcx, 0xffff7fffffffffff
AT  mov al, [rcx]
    FAULTS "noncanonical_below_upper_half", X_GP, 0
    BEGIN
    mov rbp, rbx
AT  mov eax, [rbp]
    FAULTS "noncanonical_stack_segment", X_SS, 0
    BEGIN
    mov rsp, rbx
AT  push rax
    FAULTS "noncanonical_push_wraps_below", X_PF, EW
    BEGIN
    lea rsp, [rbx + 8]
AT  push rax
    FAULTS "noncanonical_push", X_SS, 0
    BEGIN
    mov rcx, rbx
AT  jmp rcx
    FAULTS "noncanonical_jump", X_GP, 0
    BEGIN
    push rbx
AT  ret
    FAULTS "noncanonical_ret", X_GP, 0
    BEGIN
AT  invlpg [rbx]
    RUNS "invlpg_noncanonical_is_nothing"
    mov rbx, 0x00007fffffffffff
    BEGIN
AT  mov al, [rbx]
    FAULTS "last_canonical_byte", X_PF, 0, 0xffffffff
    EQUALS "last_canonical_byte_cr2", qword [got_rcr2], rbx
    ret

; PAGE(8) maps PHYS(8) or PHYS(9), which hold their numbers. What must be flushed is; nothing is
; said of what may stay.
%macro READ8 0
    mov ebx, PAGE(8)
    mov eax, [rbx]
%endmacro
%macro MAP8 1-2 7
    mov qword [PT2 + 64], PHYS(%1) + %2
%endmacro
pcids:
    mov dword [PHYS(8)], 8
    mov dword [PHYS(9)], 9
    SET 8, PHYS(8) + 7
    READ8
    MAP8 9
    invlpg [rbx]
    READ8
    EQUALS "invlpg", rax, 9
    MAP8 8
    mov rax, cr3
    mov cr3, rax
    READ8
    EQUALS "mov_cr3", rax, 8
    ; Global pages.
    mov rax, cr4
    or eax, 0x80
    mov cr4, rax
    MAP8 8, 0x107
    invlpg [rbx]
    READ8
    MAP8 9, 0x107
    invlpg [rbx]
    READ8
    EQUALS "invlpg_global", rax, 9
    MAP8 8, 0x107
    mov rax, cr4
    and eax, ~0x80
    mov cr4, rax
    READ8
    EQUALS "pge_off_flushes_global", rax, 8
    mov rax, cr4
    or eax, 0x80
    mov cr4, rax
    READ8
    MAP8 9, 0x107
    xor eax, eax
    test byte [has], 8
    jz .none

    ; CR4.PCIDE needs CR3[11:0] = 0, and long mode.
    mov rax, cr3
    or rax, 8
    mov cr3, rax
    BEGIN
    mov rax, cr4
    or eax, 0x20000
AT  mov cr4, rax
    FAULTS "pcide_with_cr3_low_bits", X_GP, 0
    mov eax, PML4
    mov cr3, rax
    BEGIN
    mov rax, cr4
    or eax, 0x20000
    mov cr4, rax
    RUNS "pcide_set"
    BEGIN
    mov rax, cr0
    btr rax, 31
AT  mov cr0, rax
    FAULTS "paging_off_with_pcide", X_GP, 0

    ; A switch with bit 63 keeps or drops, as it likes; without it the new one's entries go.
    SET 8, PHYS(8) + 7
    READ8
    MAP8 9
    mov rax, PML4 + 5
    mov cr3, rax
    READ8
    EQUALS "new_pcid_reads_tables", rax, 9
    MAP8 8
    mov rax, PML4
    mov cr3, rax
    READ8
    EQUALS "old_pcid_flushed_by_mov_cr3", rax, 8
    mov rax, cr3
    EQUALS "cr3_reads_without_bit_63", rax, PML4
    mov rax, (1 << 63) | PML4 | 5
    mov cr3, rax
    mov rax, cr3
    EQUALS "cr3_holds_pcid", rax, PML4 | 5
    READ8                               ; maybe 9 still: PCID 5 was kept
    MAP8 9
    invlpg [rbx]
    READ8
    EQUALS "invlpg_current_pcid", rax, 9

    test byte [has], 16
    jz .no_invpcid
    ; INVPCID types 0 to 3.
    MAP8 8
    mov eax, 0
    invpcid rax, [.desc_p5]
    READ8
    EQUALS "invpcid_address", rax, 8
    MAP8 9
    mov eax, 1
    invpcid rax, [.desc_p5]
    READ8
    EQUALS "invpcid_single", rax, 9
    MAP8 8
    mov eax, 3
    invpcid rax, [.desc_0]
    READ8
    EQUALS "invpcid_all_nonglobal", rax, 8
    MAP8 8, 0x107
    invlpg [rbx]
    READ8
    MAP8 9, 0x107
    mov eax, 2
    invpcid rax, [.desc_0]
    READ8
    EQUALS "invpcid_all", rax, 9
    ; Another PCID's entry, from here.
    MAP8 8
    invlpg [rbx]
    mov rax, PML4 + 6
    mov cr3, rax
    READ8
    mov rax, (1 << 63) | PML4 | 5
    mov cr3, rax
    MAP8 9
    mov eax, 1
    invpcid rax, [.desc_p6]
    mov rax, (1 << 63) | PML4 | 6
    mov cr3, rax
    READ8
    EQUALS "invpcid_other_single", rax, 9
    mov rax, (1 << 63) | PML4 | 5
    mov cr3, rax
    MAP8 8
    mov eax, 0
    invpcid rax, [.desc_p6]
    mov rax, (1 << 63) | PML4 | 6
    mov cr3, rax
    READ8
    EQUALS "invpcid_other_address", rax, 8
    BEGIN
    mov eax, 4
AT  invpcid rax, [.desc_0]
    FAULTS "invpcid_type_4", X_GP, 0
    BEGIN
    mov eax, 1
AT  invpcid rax, [.desc_bad]
    FAULTS "invpcid_reserved_bits", X_GP, 0
    BEGIN
    xor eax, eax
AT  invpcid rax, [.desc_wild]
    FAULTS "invpcid_noncanonical", X_GP, 0
    BEGIN
    USER
AT  invpcid rax, [rbx]
    FAULTS "invpcid_user", X_GP, 0
.no_invpcid:
    mov eax, PML4
    mov cr3, rax
    mov rax, cr4
    and eax, ~0x20000
    mov cr4, rax
    READ8
    MAP8 9
    mov rax, cr3
    mov cr3, rax
    READ8
    EQUALS "pcide_off_again", rax, 9
.none:
    ret
section .data
align 16
.desc_0: dq 0, 0
.desc_p5: dq 5, PAGE(8)
.desc_p6: dq 6, PAGE(8)
.desc_bad: dq 0x1000, 0
.desc_wild: dq 0, 0x0000800000000000
section .text
