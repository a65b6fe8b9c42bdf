/*
 * CPU models: what `-cpu NAME` gives. A model is a set of features, a signature and sizes; CPUID
 * and the instruction decoder follow from it and never from the host.
 */
#ifndef DOPPEL_CPU_MODEL_H
#define DOPPEL_CPU_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/feature.h"
#include "util/err.h"

struct cpu_model {
    const char *name, *help;
    uint32_t signature;          /* CPUID.1:EAX, and EDX at reset */
    uint32_t max_basic, max_ext; /* highest CPUID leaves; 0: no CPUID */
    uint8_t phys_bits, lin_bits;
    const char *brand; /* 47 characters at most */
    const char *base;  /* the model whose features this one adds to; NULL: none */
    const char *adds;  /* feature names, separated by blanks */
};

/* All models, default first; ends with name NULL. */
extern const struct cpu_model cpu_models[];

/* The features of a model, those of its bases included. */
void cpu_model_features(const struct cpu_model *m, uint64_t features[FEAT_WORDS]);

/* Feature by its `-cpu` name; FEAT_COUNT: no such feature. */
enum feature feature_find(const char *name, size_t len);
const char *feature_name(enum feature f);

/* Parse "-cpu" text: NAME[,+feat][,-feat][,feat=on|off]...; *features is the resulting set. NULL
 * with e: unknown model or feature (e names the nearest known one). */
const struct cpu_model *cpu_model_parse(const char *text, uint64_t features[FEAT_WORDS],
                                        struct err *e);

#endif
