; Model-specific and control registers: what may be written, reserved bits and values, read-only
; ones, the time-stamp counter, rights of RDTSC and RDPMC, RDRAND. SDM 4 chapter 2; SDM 3A 2.5,
; 11.11.2, 11.12, 15.3, 17.17; SDM 2B RDTSC, RDPMC, RDRAND, MOV CR.
%include "lib.inc"

section .data
align 4
tsc: dd 0, 0
section .text

%macro WRITE 3                  ; number, high, low
    mov ecx, %1
    mov edx, %2
    mov eax, %3
    wrmsr
%endmacro
; WRITE that must be #GP(0) and change nothing.
%macro BAD 4
    mov ecx, %2
    rdmsr
    mov ebx, eax
    mov edx, %3
    mov eax, %4
    BEGIN
AT  wrmsr
    FAULTS %1, X_GP, 0
    rdmsr
    %strcat N1 %1, "_kept"
    EQUALS N1, eax, ebx
%endmacro
; WRITE and read back.
%macro GOOD 4
    BEGIN
    WRITE %2, %3, %4
    RUNS %1
    rdmsr
    %strcat N1 %1, "_low"
    %strcat N2 %1, "_high"
    EQUALS N1, eax, %4
    EQUALS N2, edx, %3
%endmacro
%macro BADCR 4                  ; name, register, clear, set
    BEGIN
    mov eax, %2
    and eax, ~(%3)
    or eax, %4
AT  mov %2, eax
    FAULTS %1, X_GP, 0
%endmacro

main:
    ; Memory types.
    BAD "pat_type_2", 0x277, 0, 0x02040600
    BAD "pat_type_3", 0x277, 0x03000000, 0
    BAD "pat_type_8", 0x277, 8, 0
    GOOD "pat", 0x277, 0x00070106, 0x05040106
    WRITE 0x277, 0x00070406, 0x00070406
    BAD "mtrr_cap", 0xfe, 0, 0
    mov ecx, 0xfe
    rdmsr
    and eax, 0x5ff
    EQUALS "mtrr_cap_value", eax, 0x508
    BAD "mtrr_def_type", 0x2ff, 0, 0xc02
    BAD "mtrr_def_reserved", 0x2ff, 0, 0x1006
    GOOD "mtrr_def", 0x2ff, 0, 0xc06
    BAD "mtrr_base_type", 0x200, 0, 0x02
    BAD "mtrr_base_reserved", 0x200, 0, 0x106
    BAD "mtrr_base_phys", 0x200, 0x80000000, 6
    GOOD "mtrr_base", 0x20e, 0xf, 0xc0000006
    BAD "mtrr_mask_reserved", 0x201, 0, 0x400
    GOOD "mtrr_mask", 0x20f, 0xf, 0xf0000800
    BAD "mtrr_fix_type", 0x250, 0, 0x06060306
    GOOD "mtrr_fix", 0x26f, 0x06050401, 0x00010405
    ; Machine check.
    BAD "mcg_cap", 0x179, 0, 0
    mov ecx, 0x179
    rdmsr
    EQUALS "mcg_cap_no_banks", eax, 0
    BEGIN
    mov ecx, 0x400
AT  rdmsr
    FAULTS "no_mc0_ctl", X_GP, 0
    BEGIN
    WRITE 0x17a, 0, 0
    RUNS "mcg_status"
    ; What IA32_MISC_ENABLE switches (SDM 4 table 2-2) leaves CPUID as well.
    mov ecx, 0x1a0
    rdmsr
    EQUALS "misc_enable", eax, 0x41801  ; fast strings, MONITOR; no BTS, no PEBS
    GOOD "misc_enable_all", 0x1a0, 4, 0xc51809
    xor eax, eax
    cpuid
    EQUALS "limited_cpuid", eax, 2
    mov eax, 0x80000001
    cpuid
    and edx, 0x100000
    EQUALS "no_nx", edx, 0
    BAD "no_nxe", 0xc0000080, 0, 0x800
    WRITE 0x1a0, 0, 0
    rdmsr
    EQUALS "misc_enable_read_only", eax, 0x1800
    mov eax, 1
    cpuid
    and ecx, 8
    EQUALS "no_monitor", ecx, 0
    mov eax, main
    xor ecx, ecx
    xor edx, edx
    BEGIN
AT  monitor
    FAULTS "monitor_off", X_UD, 0
    WRITE 0x1a0, 0, 0x40001
    mov eax, main
    xor ecx, ecx
    xor edx, edx
    BEGIN
    monitor
    RUNS "monitor_on"
    mov eax, 0x80000001
    cpuid
    and edx, 0x100000
    EQUALS "nx_again", edx, 0x100000
    ; Time.
    WRITE 0x10, 0x12345678, 0
    rdtsc
    EQUALS "tsc_written", edx, 0x12345678
    WRITE 0x3b, 0, 0
    rdmsr
    EQUALS "tsc_adjust", eax, 0
    rdtsc
    cmp edx, 0x12345678
    setb al
    movzx eax, al
    EQUALS "tsc_adjust_moves_tsc", eax, 1
    rdtsc
    mov [tsc], eax
    nop
    nop
    rdtsc
    sub eax, [tsc]
    EQUALS "tsc_counts_instructions", eax, 4
    WRITE 0xc0000103, 0, 0xcafe
    rdtscp
    EQUALS "rdtscp_aux", ecx, 0xcafe
    rdpid eax
    EQUALS "rdpid", eax, 0xcafe
    BAD "tsc_aux_upper", 0xc0000103, 1, 0
    mov eax, cr4
    or eax, 4                   ; TSD
    mov cr4, eax
    BEGIN
    USER
AT  rdtsc
    FAULTS "tsd_user", X_GP, 0
    BEGIN
    USER
AT  rdtscp
    FAULTS "tsd_rdtscp", X_GP, 0
    BEGIN
    rdtsc
    RUNS "tsd_supervisor"
    mov eax, cr4
    and eax, ~4
    mov cr4, eax
    BEGIN
    USER
    rdtsc
    RUNS "rdtsc_user"
    xor ecx, ecx
    BEGIN
AT  rdpmc
    FAULTS "no_counters", X_GP, 0
    ; Random numbers: never twice the same here, CF set.
    mov eax, 0
    rdrand ebx
    setc al
    EQUALS "rdrand_cf", eax, 1
    rdrand edx
    xor edx, ebx
    neg edx
    sbb eax, eax
    EQUALS "rdrand_changes", eax, -1
    xor eax, eax
    rdseed bx
    setc al
    EQUALS "rdseed_cf", eax, 1
    ; The local APIC's base ends where physical addresses do (40 bits here).
    BAD "apic_base_phys", 0x1b, 0x100, 0xfee00900
    BAD "apic_base_low", 0x1b, 0, 0xfee00901
    ; EFER, speculation, capabilities.
    BAD "efer_reserved", 0xc0000080, 0, 0x2
    BAD "efer_upper", 0xc0000080, 1, 0
    BAD "efer_svm", 0xc0000080, 0, 0x1000
    GOOD "efer_lme_nxe", 0xc0000080, 0, 0x900
    WRITE 0xc0000080, 0, 0
    BAD "spec_ctrl_reserved", 0x48, 0, 0x100
    GOOD "spec_ctrl", 0x48, 0, 5
    WRITE 0x48, 0, 0
    BAD "arch_capabilities", 0x10a, 0, 0
    mov ecx, 0x10a
    rdmsr
    and eax, 0x16b
    EQUALS "not_vulnerable", eax, 0x16b
    BEGIN
    mov ecx, 0x49
AT  rdmsr
    FAULTS "pred_cmd_read", X_GP, 0
    BEGIN
    WRITE 0x49, 0, 1
    RUNS "pred_cmd"
    BEGIN
    mov ecx, 0xc0000104
AT  rdmsr
    FAULTS "unknown", X_GP, 0
    BEGIN
    mov ecx, 0x480
AT  rdmsr
    FAULTS "no_vmx", X_GP, 0
    ; Control registers.
    BADCR "cr0_pg_without_pe_bits", cr0, 0x40000000, 0x20000000   ; NW without CD
    BADCR "cr4_reserved", cr4, 0, 0x80000000
    BADCR "cr4_vmxe", cr4, 0, 0x2000
    BADCR "cr4_la57", cr4, 0, 0x1000
    BADCR "cr4_pcide_without_long_mode", cr4, 0, 0x20000
    BEGIN
AT  db 0x0f, 0x20, 0xc8         ; mov eax, cr1
    FAULTS "cr1", X_UD, 0
    BEGIN
AT  db 0x0f, 0x22, 0xf8         ; mov cr7, eax
    FAULTS "cr7", X_UD, 0
    BEGIN
    USER
AT  mov eax, cr3
    FAULTS "cr3_user", X_GP, 0
    BEGIN
    USER
AT  invlpg [0]
    FAULTS "invlpg_user", X_GP, 0
    BEGIN
    USER
AT  wbinvd
    FAULTS "wbinvd_user", X_GP, 0
    BEGIN
    USER
AT  lmsw ax
    FAULTS "lmsw_user", X_GP, 0
    mov eax, 0xfffffff0
    mov ebx, cr0
    lmsw ax                     ; PE stays
    smsw eax
    and eax, 0xf
    EQUALS "lmsw_keeps_pe", eax, 1
    mov cr0, ebx
    ; Single steps on branches are there, last-branch records are not.
    GOOD "debugctl_btf", 0x1d9, 0, 2
    WRITE 0x1d9, 0, 1
    rdmsr
    EQUALS "debugctl_lbr_is_dropped", eax, 0
    BAD "debugctl_reserved", 0x1d9, 0, 4
    BAD "last_branch_from", 0x1db, 0, 0
    jmp .branch
.branch:
    mov ecx, 0x1db
    rdmsr
    EQUALS "last_branch_from_none", eax, 0
    mov ecx, 0x1dc
    rdmsr
    EQUALS "last_branch_to_none", eax, 0
    BEGIN
    mov ecx, 0x680
AT  rdmsr
    FAULTS "last_branch_stack", X_GP, 0
    ; LA57 and the like are not there; CR3 keeps what is written.
    mov ecx, cr3
    mov eax, 0x12345018
    mov cr3, eax
    mov ebx, cr3
    mov cr3, ecx
    EQUALS "cr3", ebx, 0x12345018
    ret
