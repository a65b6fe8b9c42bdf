; PAE paging in 32-bit mode: rights with NX, SMEP, SMAP; reserved bits; the PDPTE registers, which
; MOV to CR3 loads and checks. SDM 3A 4.4, 4.6 to 4.8.
%define UOFF 0x40000000
%include "lib.inc"
%include "rights.inc"

PDPT    equ 0x201020    ; 32-byte aligned, not to a page
PD0     equ 0x202000
PD1     equ 0x203000
PD2     equ 0x205000
PT2     equ 0x206000
TL      equ 0x80000000
TP      equ 0x400000
%define PAGE(n) (TL + (n) * 0x1000)
%define PHYS(n) (TP + (n) * 0x1000)
%define PTE(n) PT2 + (n) * 8

main:
    mov edi, 0x201000
    mov ecx, 0x6000 / 4
    xor eax, eax
    rep stosd
    mov dword [PDPT], PD0 + 1
    mov dword [PDPT + 8], PD1 + 1
    mov dword [PDPT + 16], PD2 + 1
    mov dword [PD2], PT2 + 7
    xor ecx, ecx
.large:
    mov eax, ecx
    shl eax, 21
    or eax, 0x83
    mov [PD0 + ecx * 8], eax
    or eax, 4
    mov [PD1 + ecx * 8], eax
    inc ecx
    cmp ecx, 8
    jb .large
    xor ecx, ecx
.small:
    mov eax, ecx
    shl eax, 12
    add eax, TP + 7
    mov [PTE(0) + ecx * 8], eax
    inc ecx
    cmp ecx, 512
    jb .small
    mov eax, 1
    cpuid
    test dl, 1 << 6
    jz .none
    call features
    mov eax, cr4
    or al, 0x20
    mov cr4, eax
    mov eax, PDPT
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80010000
    mov cr0, eax

    mov word [PAGE(0)], 0x30cd
    mov dword [r_pte], PTE(0)
    mov dword [r_pde], PD2
    mov dword [r_la], PAGE(0)
    mov eax, [has]
    and eax, 6
    mov [r_has], eax
    call rights_all
    EQUALS "rights_without_nxe", dword [r_bad], -1
    test byte [has], 1
    jz .no_nx
    mov dword [PTE(0) + 4], 0x80000000
    invlpg [PAGE(0)]
    BEGIN
AT  mov eax, [PAGE(0)]
    FAULTS "xd_reserved_without_nxe", X_PF, EP | ER, PAGE(0)
    mov ecx, 0xc0000080
    rdmsr
    or ah, 8
    wrmsr
    or byte [r_has], 1
    mov dword [r_nxe], 1
    call rights_all
    EQUALS "rights", dword [r_bad], -1
    EQUALS "rights_wrong", dword [r_count], 0
.no_nx:
    mov eax, cr4
    and eax, ~0x300000
    mov cr4, eax
    call reserved_bits
    call pdptes
.none:
    ret

; has: 1 NX, 2 SMEP, 4 SMAP.
features:
    xor eax, eax
    cpuid
    mov ebp, eax
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb .no_nx
    mov eax, 0x80000001
    cpuid
    bt edx, 20
    jnc .no_nx
    or dword [has], 1
.no_nx:
    mov dword [maxphy], 36
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000008
    jb .no_size
    mov eax, 0x80000008
    cpuid
    movzx eax, al
    mov [maxphy], eax
.no_size:
    cmp ebp, 7
    jb .none
    mov eax, 7
    xor ecx, ecx
    cpuid
    bt ebx, 7
    jnc .smep
    or dword [has], 2
.smep:
    bt ebx, 20
    jnc .none
    or dword [has], 4
.none:
    ret
section .data
has: dd 0
maxphy: dd 0
bad: dd 0
section .text

; Bits 32 to 62 of the entry at ebx: maxphy and above are reserved, the others lead nowhere and are
; not tried.
try_high:
    mov dword [bad], 0
    mov ecx, [maxphy]
.next:
    lea edx, [ecx - 32]
    mov esi, 1
    xchg ecx, edx
    shl esi, cl
    mov ecx, edx
    or [ebx + 4], esi
    mov eax, cr3
    mov cr3, eax
    mov dword [got_vec], NONE
    mov dword [catch_ip], .caught
    mov [catch_sp], esp
    mov eax, [PAGE(0)]
    mov dword [catch_ip], 0
.caught:
    cmp dword [got_vec], X_PF
    jne .bad
    cmp dword [got_err], EP | ER
    je .good
.bad:
    inc dword [bad]
.good:
    not esi
    and [ebx + 4], esi
    inc ecx
    cmp ecx, 63
    jb .next
    mov eax, cr3
    mov cr3, eax
    ret

reserved_bits:
    mov ebx, PTE(0)
    call try_high
    EQUALS "reserved_bits_pte", dword [bad], 0
    mov ebx, PD2
    call try_high
    EQUALS "reserved_bits_pde", dword [bad], 0
    mov dword [PD2 + 8], 0x400087
    mov dword [PHYS(6) + 0x10], 0x12345678
    mov eax, [TL + 0x206010]
    EQUALS "page_2m", eax, 0x12345678
    or dword [PD2 + 8], 0x2000
    invlpg [TL + 0x200000]
    BEGIN
AT  mov eax, [TL + 0x206010]
    FAULTS "reserved_bit_13_2m", X_PF, EP | ER, TL + 0x206010
    mov dword [PD2 + 8], 0x500087
    invlpg [TL + 0x200000]
    BEGIN
AT  mov eax, [TL + 0x206010]
    FAULTS "reserved_bit_20_2m", X_PF, EP | ER, TL + 0x206010
    mov dword [PD2 + 8], 0
    ret

pdptes:
    BEGIN
AT  mov eax, [0xc0000000]
    FAULTS "absent_pdpte", X_PF, 0, 0xc0000000
    ; Memory may change: the registers hold until CR3 is loaded again.
    mov dword [PDPT + 24], PD2 + 1
    invlpg [0xc0000000]
    BEGIN
AT  mov eax, [0xc0000000]
    FAULTS "pdpte_is_a_register", X_PF, 0, 0xc0000000
    mov eax, cr3
    mov cr3, eax
    mov eax, [0xc0000000]
    EQUALS "pdpte_loaded_by_mov_cr3", eax, dword [PAGE(0)]
    ; Reserved bits in a present one: #GP, CR3 stays as it was.
    mov ebp, cr3
    mov esi, 2
.next:
    mov dword [PDPT + 24], PD2 + 1
    or [PDPT + 24], esi
    mov dword [got_vec], NONE
    mov dword [catch_ip], .caught
    mov [catch_sp], esp
    mov cr3, ebp
    mov dword [catch_ip], 0
.caught:
    mov eax, esi
    and eax, 0x1e6
    cmp dword [got_vec], NONE
    sete cl
    cmp eax, 0
    sete dl
    cmp cl, dl
    jne .wrong
    shl esi, 1
    cmp esi, 0x200
    jb .next
.wrong:
    EQUALS "pdpte_reserved_bits", esi, 0x200
    mov dword [PDPT + 24], 0x1e6        ; not present: nothing is reserved
    BEGIN
    mov cr3, ebp
    RUNS "pdpte_absent_may_hold_anything"
    mov dword [PDPT + 24], 0
    mov dword [PDPT + 28], 0
    mov cr3, ebp
    ret
