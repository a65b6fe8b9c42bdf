/*
 * The inputs of a machine's past, in memory: noted as the gate delivers them, and given back.
 */
#ifndef DOPPEL_VM_HISTORY_LOG_H
#define DOPPEL_VM_HISTORY_LOG_H

#include "core/gate.h"

struct history_input; /* one delivery */

struct history_log {
    struct history_input **list;
    size_t n, cap;
    size_t cursor; /* the next one that the feed gives */
    uint64_t bytes;
    struct gate_feed feed;
};

void history_log_add(struct history_log *l, const struct gate_event *ev); /* copies */
/* Forget the first n; those at the cursor and behind; all. */
void history_log_drop(struct history_log *l, size_t n);
void history_log_cut(struct history_log *l);
void history_log_free(struct history_log *l);
/* For gate.feed: what is at the cursor, which moves. */
const struct gate_feed *history_log_feed(struct history_log *l);
/* Is there one of this source from number `from` on? */
bool history_log_has(const struct history_log *l, size_t from, const char *source);
uint64_t history_log_bytes(const struct history_log *l);

#endif
