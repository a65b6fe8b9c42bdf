/*
 * Guest vector registers in host registers, within one piece of code.
 *
 * Guest XMMn lives in host XMMn while it is `live`, otherwise in the guest CPU's struct. Nothing is
 * loaded before it is needed; what was written is stored (`dirty`) where code can leave: in cold
 * code if leaving is the exception (x64_vec_cold), in front of it otherwise (x64_vec_flush). Bits
 * 255:128 are in memory unless `wide`: legacy instructions leave them alone, but are emitted in
 * their VEX form, which clears the host's, so a wide register is narrowed first.
 *
 * All C may change the host's vector registers and wants the host's own MXCSR: common code unloads
 * the guest's in front of it (x64_fp_off).
 */
#ifndef DOPPEL_CPU_JIT_X64_VEC_H
#define DOPPEL_CPU_JIT_X64_VEC_H

#include <stdbool.h>
#include <stdint.h>

struct em;
struct asmbuf;
struct jit_backend;
struct cold;

/* By guest register. Always: dirty within live, wide within live, high within wide. */
struct vec_state {
    uint16_t live;  /* bits 127:0 are in the host register */
    uint16_t wide;  /* bits 255:128 are too */
    uint16_t dirty; /* bits 127:0 are not in memory */
    uint16_t high;  /* bits 255:128 are not in memory */
};

/* What the emitter knows at one place of the code. */
struct vec_place {
    struct vec_state s;
    uint8_t checked; /* JIT_VEC_xx that are known not to hold */
    bool hi0_off;    /* env->vec_hi0 is 0 */
};

/* What the host can do, for jit_backend.features: bits 1 << enum uop_vec_set, and these. */
#define HOST_LAHF_BIT 31u /* LAHF in 64-bit mode */
uint32_t x64_host_features(void);

/* ---- for code that leaves, or calls C ---- */
/* Store what is dirty. Does not change the host's flags. */
void x64_vec_flush(struct em *e);
/* ... and what is loaded counts no more: C changes the host's registers. */
void x64_vec_drop(struct em *e);
/* ... and nothing else is known either: the interpreter ran, or code from elsewhere joins. */
void x64_vec_forget(struct em *e);
/* Host register r holds guest register r, all 256 bits if wide. */
void x64_vec_use(struct em *e, unsigned r, bool wide);
/* Bits 255:128 of it are in memory, and not in the host register. */
void x64_vec_narrow(struct em *e, unsigned r);
/* In cold code: store what is dirty in `s`; load again what is live in it. */
void x64_vec_spill(struct em *e, const struct vec_state *s);
void x64_vec_reload(struct em *e, const struct vec_state *s);

/* ---- loops ---- */
/* In front of the head of code that jumps back to it: everything that the loop uses is in host
 * registers from here on, and counts as dirty if the loop writes it. False: that is not worth it,
 * nothing is emitted. */
bool x64_vec_loop_begin(struct em *e);
/* In front of the jump back: as it was at the head. Does not change the host's flags. */
void x64_vec_loop_end(struct em *e);

/* ---- common code ---- */
/* Emit routines that blocks call: be->fp_on, be->vec_zero. */
void x64_vec_common(struct jit_backend *be, struct asmbuf *a);
/* The host's MXCSR and vector state for C. Changes the host's flags. */
void x64_fp_off(const struct jit_backend *be, struct asmbuf *a);

/* ---- operations ---- */
bool x64_emit_vec(struct em *e);
/* Cold code of a check that vector instructions may run. */
void x64_vec_cold(struct em *e, const struct cold *c);

#endif
