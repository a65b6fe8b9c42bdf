; Exceptions of the floating-point and vector units: #NM by TS, EM and MP, #MF and where it is seen,
; #XM, #UD by EM, OSFXSR and OSXSAVE, their order. SDM 3A 2.5, 6.15 (vectors 6, 7, 16, 19), 9.2;
; SDM 1 8.7, 11.5.
%include "lib.inc"

X_XM    equ 19
BUF     equ 0x300000

%macro CR0_BITS 2               ; clear, set
    mov eax, cr0
    and eax, ~(%1)
    or eax, %2
    mov cr0, eax
%endmacro
%macro CR4_BITS 2
    mov eax, cr4
    and eax, ~(%1)
    or eax, %2
    mov cr4, eax
%endmacro
MP  equ 2
EM  equ 4
TS  equ 8
NE  equ 0x20

section .data
align 16
one: times 4 dd 0x3f800000
zero: times 8 dd 0
csr: dd 0x1d80                  ; zero-divide unmasked
cw: dw 0x37b                    ; likewise
section .text

main:
    CR0_BITS TS | EM, MP | NE
    CR4_BITS 0, 0x600           ; OSFXSR, OSXMMEXCPT
    fninit
    call no_device
    call x87_error
    call simd
    call avx
    ret

no_device:
    CR0_BITS 0, TS
    BEGIN
AT  fld1
    FAULTS "x87_ts", X_NM, 0
    BEGIN
AT  fnstsw ax
    FAULTS "fnstsw_ts", X_NM, 0
    BEGIN
AT  fwait
    FAULTS "fwait_ts_mp", X_NM, 0
    CR0_BITS MP, 0
    BEGIN
    fwait
    RUNS "fwait_ts_without_mp"
    CR0_BITS 0, MP
    BEGIN
AT  paddb mm0, mm1
    FAULTS "mmx_ts", X_NM, 0
    BEGIN
AT  addps xmm0, xmm1
    FAULTS "sse_ts", X_NM, 0
    BEGIN
AT  fxsave [BUF]
    FAULTS "fxsave_ts", X_NM, 0
    BEGIN
    prefetchnta [BUF]
    sfence
    movnti [BUF], eax
    RUNS "no_sse_state_ts"
    CR0_BITS TS, EM
    BEGIN
AT  fld1
    FAULTS "x87_em", X_NM, 0
    BEGIN
    fwait
    RUNS "fwait_em"
    BEGIN
AT  paddb mm0, mm1
    FAULTS "mmx_em", X_UD, 0
    BEGIN
AT  addps xmm0, xmm1
    FAULTS "sse_em", X_UD, 0
    CR0_BITS 0, TS
    BEGIN
AT  addps xmm0, xmm1
    FAULTS "sse_em_before_ts", X_UD, 0
    CR0_BITS EM | TS, 0
    clts
    BEGIN
    USER
AT  clts
    FAULTS "clts_user", X_GP, 0
    ret

x87_error:
    fninit
    fldcw [cw]
    fld1
    BEGIN
    fdiv dword [zero]           ; the error is pending
    mov eax, 1
    fnstsw ax                   ; does not look
AT  fwait
    FAULTS "fwait_mf", X_MF, 0
    BEGIN
AT  fld1
    FAULTS "x87_mf", X_MF, 0
    BEGIN
AT  paddb mm0, mm1
    FAULTS "mmx_mf", X_MF, 0
    BEGIN
    fnstcw [BUF]
    fnsave [BUF]
    RUNS "no_wait_forms"
    fninit
    fldcw [cw]
    fld1
    fdiv dword [zero]
    CR0_BITS 0, TS
    BEGIN
AT  fwait
    FAULTS "nm_before_mf", X_NM, 0
    clts
    BEGIN
    fnclex
    fwait
    RUNS "fnclex"
    fninit
    ret

simd:
    ldmxcsr [csr]
    movaps xmm0, [one]
    movaps xmm1, [zero]
    BEGIN
AT  divps xmm0, xmm1
    FAULTS "xm", X_XM, 0
    movd eax, xmm0
    EQUALS "xm_keeps_destination", eax, 0x3f800000
    stmxcsr [BUF]
    mov eax, [BUF]
    and eax, 0x3f
    EQUALS "xm_sets_flag", eax, 4
    BEGIN
    USER
AT  divps xmm0, xmm1
    FAULTS "xm_user", X_XM, 0
    CR4_BITS 0x400, 0
    BEGIN
AT  divps xmm0, xmm1
    FAULTS "xm_without_osxmmexcpt", X_UD, 0
    CR4_BITS 0x200, 0x400
    BEGIN
AT  addps xmm0, xmm1
    FAULTS "sse_without_osfxsr", X_UD, 0
    BEGIN
AT  ldmxcsr [csr]
    FAULTS "ldmxcsr_without_osfxsr", X_UD, 0
    BEGIN
    paddb mm0, mm1
    emms
    RUNS "mmx_without_osfxsr"
    CR4_BITS 0, 0x600
    BEGIN
    mov dword [BUF], 0x10000
AT  ldmxcsr [BUF]
    FAULTS "ldmxcsr_reserved", X_GP, 0
    BEGIN
AT  movaps xmm0, [one + 4]
    FAULTS "movaps_unaligned", X_GP, 0
    BEGIN
AT  addps xmm0, [one + 8]
    FAULTS "addps_unaligned", X_GP, 0
    BEGIN
AT  fxsave [BUF + 8]
    FAULTS "fxsave_unaligned", X_GP, 0
    mov dword [BUF], 0x1f80
    ldmxcsr [BUF]
    ret

avx:
    BEGIN
AT  vaddps xmm0, xmm1, xmm2
    FAULTS "avx_without_osxsave", X_UD, 0
    BEGIN
AT  xgetbv
    FAULTS "xgetbv_without_osxsave", X_UD, 0
    CR4_BITS 0, 0x40000
    xor ecx, ecx
    xor edx, edx
    mov eax, 3
    xsetbv
    BEGIN
AT  vaddps xmm0, xmm1, xmm2
    FAULTS "avx_without_xcr0", X_UD, 0
    BEGIN
    mov eax, 5
AT  xsetbv
    FAULTS "xsetbv_avx_without_sse", X_GP, 0
    BEGIN
    mov eax, 2
AT  xsetbv
    FAULTS "xsetbv_without_x87", X_GP, 0
    BEGIN
    mov eax, 0x207
AT  xsetbv
    FAULTS "xsetbv_unknown", X_GP, 0
    BEGIN
    mov eax, 3
    mov ecx, 1
AT  xsetbv
    FAULTS "xsetbv_ecx", X_GP, 0
    xor ecx, ecx
    mov eax, 7
    BEGIN
    USER
AT  xsetbv
    FAULTS "xsetbv_user", X_GP, 0
    xsetbv
    BEGIN
    vaddps ymm0, ymm1, ymm2
    RUNS "avx"
    CR0_BITS 0, TS
    BEGIN
AT  vaddps ymm0, ymm1, ymm2
    FAULTS "avx_ts", X_NM, 0
    CR0_BITS TS, EM
    BEGIN
    vaddps ymm0, ymm1, ymm2
    RUNS "avx_ignores_em"
    CR0_BITS EM, 0
    BEGIN
    vmovups ymm0, [one + 1]
    RUNS "avx_unaligned"
    BEGIN
AT  vmovaps ymm0, [zero + 4]
    FAULTS "vmovaps_unaligned", X_GP, 0
    ret
