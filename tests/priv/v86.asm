; Virtual-8086 mode: entry and exit, IOPL-sensitive instructions, what is not allowed, the I/O map,
; the mode extensions (VIF, VIP, interrupt redirection), protected-mode virtual interrupts.
; SDM 3A 20.2 to 20.4; SDM 1 18.5.2; SDM 2 CLI, STI, PUSHF, POPF, INT n, IRET.
%include "lib.inc"

T2      equ 0x210000            ; our TSS: redirection map at 68H, I/O map at 88H
SEG86   equ 0x500               ; the 8086 program, copied to linear 5000H
SP86    equ 0x800
DATA86  equ 0x1000
IOPL3   equ 0x3000
VIF     equ 0x80000
VIP     equ 0x100000
IF      equ 0x200

section .data
align 4
rec: times 16 dd 0
rec_esp: dd 0
section .text

; Start the 8086 program at label %1 with EFLAGS %2 (besides VM).
%macro RUN86 2
    push dword 0x4444           ; GS
    push dword 0x3333           ; FS
    push dword DATA86           ; DS
    push dword 0x2222           ; ES
    push dword SEG86            ; SS
    push dword SP86
    push dword 0x20002 + (%2)
    push dword SEG86
    push dword %1 - v86
    iretd
%endmacro
; A case of its own: starts %1 with flags %2; must raise %4 with error %5 at label %6.
%macro CASE86 6
    BEGIN
    RUN86 %1, %2
    FAULTS %3, %4, %5
    %strcat NAME_IP %3, "_ip"
    EQUALS NAME_IP, dword [got_ip], %6 - v86
%endmacro
%macro WORD86 3                 ; a word of the program's data, for EQUALS
    movzx eax, word [0x5000 + %2 - v86]
    EQUALS %1, eax, %3
%endmacro

main:
    mov esi, v86
    mov edi, SEG86 * 16
    mov ecx, v86_end - v86
    cld
    rep movsb
    mov edi, T2
    mov ecx, 0x88 + 0x100
    xor eax, eax
    rep stosb
    mov edi, T2 + 0x88
    mov ecx, 0x41
    mov al, 0xff
    rep stosb
    mov dword [T2 + 4], STACKI
    mov dword [T2 + 8], KDATA
    mov dword [T2 + 0x64], 0x880000
    mov dword [gdt + TEST1], 0xc8       ; limit: ports to 1FFH and the last byte
    mov dword [gdt + TEST1 + 4], 0x8900
    mov eax, T2
    mov [gdt + TEST1 + 2], ax
    shr eax, 16
    mov [gdt + TEST1 + 4], al
    mov ax, TEST1
    ltr ax
    mov al, 0xff                ; no interrupt lines: IF may be set freely
    out 0x21, al
    out 0xa1, al
    call plain
    call sensitive
    call forbidden
    call ports
    call transfers
    call vme
    call pvi
    ret

; --- The mode itself ----------------------------------------------------------------------------
plain:
    mov dword [DATA86 * 16 + 0xfffe], 0x12345678
    BEGIN
    RUN86 p_segs, IOPL3
    FAULTS "segments", X_BP, 0
    WORD86 "read_at_ffff", p_word, 0x5678
    WORD86 "es", p_es, 0x2222
    WORD86 "fs", p_fs, 0x3333
    WORD86 "gs", p_gs, 0x4444
    CASE86 p_limit, IOPL3, "word_at_ffff", X_GP, 0, p_limit_at
    CASE86 p_stack, IOPL3, "stack_at_1", X_SS, 0, p_stack_at
    BEGIN
    RUN86 p_mode, 0
    FAULTS "mode", X_BP, 0
    mov eax, [got_flags]
    and eax, 0x20000
    EQUALS "vm_is_pushed", eax, 0x20000
    EQUALS "cs_is_pushed", dword [got_cs], SEG86
    EQUALS "esp_is_pushed", dword [got_sp], SP86
    ret

; --- IOPL-sensitive -----------------------------------------------------------------------------
sensitive:
    CASE86 s_cli, 0, "cli_iopl0", X_GP, 0, s_cli
    CASE86 s_sti, 0x2000, "sti_iopl2", X_GP, 0, s_sti
    CASE86 s_pushf, 0, "pushf_iopl0", X_GP, 0, s_pushf
    CASE86 s_pushfd, 0, "pushfd_iopl0", X_GP, 0, s_pushfd
    CASE86 s_popf, 0, "popf_iopl0", X_GP, 0, s_popf
    CASE86 s_int, 0, "int_iopl0", X_GP, 0, s_int
    CASE86 s_iret, 0, "iret_iopl0", X_GP, 0, s_iret
    CASE86 s_iretd, 0x1000, "iretd_iopl1", X_GP, 0, s_iretd
    BEGIN
    RUN86 s_int3, 0
    FAULTS "int3_iopl0", X_BP, 0
    BEGIN
    RUN86 s_into, 0
    FAULTS "into_iopl0", X_OF, 0
    BEGIN
    RUN86 s_flags, IOPL3
    FAULTS "flags_iopl3", X_BP, 0
    WORD86 "cli_flags", s_f1, 0x3002
    WORD86 "sti_flags", s_f2, 0x3202
    WORD86 "popf_flags", s_f3, 0x3002   ; IOPL is not written
    BEGIN
    RUN86 s_iret3, IOPL3
    FAULTS "iret_iopl3", X_BP, 0
    WORD86 "iret_flags", s_f1, 0x30d7
    ret

; --- Not allowed --------------------------------------------------------------------------------
forbidden:
    CASE86 f_hlt, IOPL3, "hlt", X_GP, 0, f_hlt
    CASE86 f_lgdt, IOPL3, "lgdt", X_GP, 0, f_lgdt
    CASE86 f_cr0, IOPL3, "mov_cr0", X_GP, 0, f_cr0
    CASE86 f_clts, IOPL3, "clts", X_GP, 0, f_clts
    CASE86 f_sldt, IOPL3, "sldt", X_UD, 0, f_sldt
    CASE86 f_ltr, IOPL3, "ltr", X_UD, 0, f_ltr
    CASE86 f_arpl, IOPL3, "arpl", X_UD, 0, f_arpl
    CASE86 f_lar, IOPL3, "lar", X_UD, 0, f_lar
    CASE86 f_verr, IOPL3, "verr", X_UD, 0, f_verr
    CASE86 f_wrmsr, IOPL3, "wrmsr", X_GP, 0, f_wrmsr
    BEGIN
    RUN86 f_allowed, 0
    FAULTS "smsw_is_allowed", X_BP, 0
    ret

; --- Ports: by the bitmap, whatever IOPL is -----------------------------------------------------
ports:
    CASE86 i_in80, IOPL3, "in_denied", X_GP, 0, i_in80_at
    and byte [T2 + 0x88 + 0x10], 0xfe
    BEGIN
    RUN86 i_in80, 0
    FAULTS "in_allowed", X_BP, 0
    CASE86 i_inw, 0, "in_word_half", X_GP, 0, i_inw_at
    and byte [T2 + 0x88 + 0x10], 0xfc
    BEGIN
    RUN86 i_inw, 0
    FAULTS "in_word_allowed", X_BP, 0
    and byte [T2 + 0x88 + 0x3f], 0x7f
    BEGIN
    RUN86 i_in1ff, 0
    FAULTS "in_last", X_BP, 0
    CASE86 i_in200, 0, "in_beyond_tss", X_GP, 0, i_in200_at
    ; At CPL 3 in protected mode the map counts only above IOPL.
    BEGIN
    USER
    mov dx, 0x80
    in al, dx
AT  in al, 0x84
    FAULTS "user_map", X_GP, 0
    ret

; --- INT and IRET between the 8086 program and level 0 -------------------------------------------
handler86:
    mov [ss:rec_esp], esp
    pushad
    mov ax, UDATA
    mov es, ax
    lea esi, [esp + 32]
    mov edi, rec
    mov ecx, 9
    cld
    ss rep movsd
    mov ax, ds
    mov [ss:rec + 40], eax
    popad
    iretd

transfers:
    mov eax, handler86
    mov [idt + 0x31 * 8], ax
    mov word [idt + 0x31 * 8 + 2], KCODE
    mov dword [idt + 0x31 * 8 + 4], 0x10ee00
    BEGIN
    mov ebp, esp
    RUN86 t_int, IOPL3 + IF
    FAULTS "int_iopl3", X_BP, 0
    EQUALS "frame_esp", dword [rec_esp], STACKI - 36
    EQUALS "frame_eip", dword [rec], t_int_back - v86
    EQUALS "frame_cs", dword [rec + 4], SEG86
    EQUALS "frame_flags", dword [rec + 8], 0x23202
    EQUALS "frame_sp", dword [rec + 12], SP86
    EQUALS "frame_ss", dword [rec + 16], SEG86
    EQUALS "frame_es", dword [rec + 20], 0x2222
    EQUALS "frame_ds", dword [rec + 24], DATA86
    EQUALS "frame_fs", dword [rec + 28], 0x3333
    EQUALS "frame_gs", dword [rec + 32], 0x4444
    movzx eax, word [rec + 40]
    EQUALS "handler_ds_null", eax, 0
    mov byte [idt + 0x31 * 8 + 5], 0x8e
    CASE86 t_int, IOPL3, "int_gate_dpl", X_GP, 0x31 * 8 + 2, t_int
    mov byte [idt + 0x31 * 8 + 5], 0xee
    mov word [idt + 0x31 * 8 + 2], UCODE
    CASE86 t_int, IOPL3, "int_to_dpl3", X_GP, UCODE & ~3, t_int
    mov dword [gdt + TEST2], 0xffff
    mov dword [gdt + TEST2 + 4], 0xcf9f00
    mov word [idt + 0x31 * 8 + 2], TEST2
    CASE86 t_int, IOPL3, "int_to_conforming", X_GP, TEST2, t_int
    mov word [idt + 0x31 * 8 + 2], KCODE
    ret

; --- CR4.VME ------------------------------------------------------------------------------------
vme:
    mov eax, cr4
    or eax, 1
    mov cr4, eax
    mov word [0x31 * 4], v_handler - v86
    mov word [0x31 * 4 + 2], SEG86
    BEGIN
    RUN86 v_flags, VIF
    FAULTS "vme_flags", X_BP, 0
    WORD86 "vme_pushf_vif", s_f1, 0x3202
    WORD86 "vme_cli", s_f2, 0x3002
    WORD86 "vme_popf_sets_vif", s_f3, 0x3202
    mov eax, [got_flags]
    and eax, VIF + IF + IOPL3
    EQUALS "vme_vif_in_eflags", eax, VIF
    BEGIN
    RUN86 s_sti, 0
    FAULTS "vme_sti", X_BP, 0
    mov eax, [got_flags]
    and eax, VIF + IF
    EQUALS "vme_sti_vif", eax, VIF
    CASE86 s_sti, VIP, "vme_sti_vip", X_GP, 0, s_sti
    CASE86 v_popf_tf, 0, "vme_popf_tf", X_GP, 0, v_popf_at
    CASE86 v_popf_if, VIP, "vme_popf_if_vip", X_GP, 0, v_popf_at2
    CASE86 s_pushfd, 0, "vme_pushfd", X_GP, 0, s_pushfd
    CASE86 s_iretd, 0, "vme_iretd", X_GP, 0, s_iretd
    ; INT n to the program's own table.
    BEGIN
    RUN86 v_int, VIF
    FAULTS "vme_int", X_BP, 0
    WORD86 "vme_int_pushed_ip", v_ip, v_int_back - v86
    WORD86 "vme_int_pushed_cs", v_cs, SEG86
    WORD86 "vme_int_pushed_flags", v_fl, 0x3202
    WORD86 "vme_handler_flags", v_in, 0x3002    ; VIF is clear
    WORD86 "vme_iret_flags", v_after, 0x3202
    BEGIN
    RUN86 v_int, IOPL3 + IF
    FAULTS "vme_int_iopl3", X_BP, 0
    WORD86 "vme_iopl3_pushed_flags", v_fl, 0x3202
    WORD86 "vme_iopl3_handler_flags", v_in, 0x3002
    WORD86 "vme_iopl3_iret_flags", v_after, 0x3202
    or byte [T2 + 0x68 + 0x31 / 8], 1 << (0x31 & 7)
    CASE86 t_int, 0, "vme_int_not_redirected", X_GP, 0, t_int
    mov dword [rec], 0
    BEGIN
    RUN86 t_int, IOPL3
    FAULTS "vme_int_idt", X_BP, 0
    EQUALS "vme_int_idt_eip", dword [rec], t_int_back - v86
    BEGIN
    RUN86 s_int3, 0
    FAULTS "vme_int3_not_redirected", X_BP, 0
    ret

; --- CR4.PVI ------------------------------------------------------------------------------------
pvi:
    BEGIN
    USER
AT  cli
    FAULTS "no_pvi_cli", X_GP, 0
    mov eax, cr4
    or eax, 2
    mov cr4, eax
    BEGIN
    USER
    sti
    int 0x30
    FAULTS "pvi_sti", URET, 0
    mov eax, [got_flags]
    and eax, VIF + IF
    EQUALS "pvi_sti_vif", eax, VIF
    BEGIN
    USER
    sti
    cli
    FAULTS "pvi_cli", URET, 0
    mov eax, [got_flags]
    and eax, VIF + IF
    EQUALS "pvi_cli_vif", eax, 0
    BEGIN
    push dword UDATA
    push dword STACK3
    push dword VIP + 2
    push dword UCODE
    push dword .vip
    iretd
.vip:
AT  sti
    FAULTS "pvi_sti_vip", X_GP, 0
    mov eax, cr4
    and eax, ~3
    mov cr4, eax
    ret

; --- The 8086 program ---------------------------------------------------------------------------
align 16
v86:
bits 16
%define HERE(x) word [cs:x - v86]
p_segs:
    mov ax, [0xfffe]
    mov HERE(p_word), ax
    mov HERE(p_es), es
    mov HERE(p_fs), fs
    mov HERE(p_gs), gs
    int3
p_limit:
    mov bx, 0xffff
p_limit_at:
    mov ax, [bx]
    int3
p_stack:
    mov sp, 1
p_stack_at:
    push ax
    int3
p_mode:
    int3
s_cli:
    cli
    int3
s_sti:
    sti
    int3
s_pushf:
    pushf
    int3
s_pushfd:
    pushfd
    int3
s_popf:
    popf
    int3
s_int:
    int 0x21
    int3
s_iret:
    iret
s_iretd:
    iretd
s_int3:
    int3
s_into:
    mov al, 0x7f
    inc al
    into
    int3
s_flags:
    cli
    pushf
    pop HERE(s_f1)
    sti
    pushf
    pop HERE(s_f2)
    push word 2
    popf
    pushf
    pop HERE(s_f3)
    int3
s_iret3:
    push word 0xd7
    push cs
    push word s_iret3_to - v86
    iret
s_iret3_to:
    pushf
    pop HERE(s_f1)
    int3
f_hlt:
    hlt
f_lgdt:
    lgdt [0]
f_cr0:
    mov eax, cr0
f_clts:
    clts
f_sldt:
    sldt ax
f_ltr:
    ltr ax
f_arpl:
    arpl ax, bx
f_lar:
    lar ax, bx
f_verr:
    verr ax
f_wrmsr:
    wrmsr
f_allowed:
    smsw ax
    int3
i_in80:
    mov dx, 0x80
i_in80_at:
    in al, dx
    int3
i_inw:
    mov dx, 0x80
i_inw_at:
    in ax, dx
    int3
i_in1ff:
    mov dx, 0x1ff
    in al, dx
    int3
i_in200:
    mov dx, 0x200
i_in200_at:
    in al, dx
    int3
t_int:
    int 0x31
t_int_back:
    int3
v_flags:
    pushf
    pop HERE(s_f1)
    cli
    pushf
    pop HERE(s_f2)
    push word 0x202
    popf
    pushf
    pop HERE(s_f3)
    int3
v_popf_tf:
    push word 0x102
v_popf_at:
    popf
    int3
v_popf_if:
    push word 0x202
v_popf_at2:
    popf
    int3
v_int:
    int 0x31
v_int_back:
    pushf
    pop HERE(v_after)
    int3
v_handler:
    push bp
    mov bp, sp
    mov ax, [bp + 2]
    mov HERE(v_ip), ax
    mov ax, [bp + 4]
    mov HERE(v_cs), ax
    mov ax, [bp + 6]
    mov HERE(v_fl), ax
    pushf
    pop HERE(v_in)
    pop bp
    iret
align 4
p_word: dw 0
p_es: dw 0
p_fs: dw 0
p_gs: dw 0
s_f1: dw 0
s_f2: dw 0
s_f3: dw 0
v_ip: dw 0
v_cs: dw 0
v_fl: dw 0
v_in: dw 0
v_after: dw 0
v86_end:
bits 32
