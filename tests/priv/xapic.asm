; A model without x2APIC: the mode bit of IA32_APIC_BASE is reserved, the registers are not there.
; SDM 3A 11.12.1.
; doppel: -cpu doppel64,-x2apic
%include "lib.inc"

main:
    mov eax, 1
    cpuid
    and ecx, 1 << 21
    EQUALS "cpuid", ecx, 0
    mov ecx, 0x1b
    mov edx, 0
    mov eax, 0xfee00d00
    BEGIN
AT  wrmsr
    FAULTS "extd", X_GP, 0
    mov ecx, 0x1b
    rdmsr
    EQUALS "extd_kept", eax, 0xfee00900
    BEGIN
    mov ecx, 0x802
AT  rdmsr
    FAULTS "id", X_GP, 0
    ret
