/*
 * Records of a recording: what came through the gate, when, and what the machine looked like in
 * between. A sequence of them makes the content of the INLOG_RUN chunks (vm/inlog.h); they may be
 * cut into chunks between any two.
 *
 * An instant is virtual time, the gate's order and instructions retired; each record has the
 * differences to the one before. A check is the small state of the machine (everything but RAM and
 * disks), as bytes, in the difference to the check before, which is mostly zeros.
 *
 * What always holds: a decoder takes every byte for hostile. Between a BEGIN and the next nothing
 * from before it is needed.
 */
#ifndef DOPPEL_VM_RUNLOG_H
#define DOPPEL_VM_RUNLOG_H

#include "core/gate.h"
#include "core/state.h"
#include "vm/inlog.h"

/* Numbers in the file: never reused. */
enum runlog_type {
    RUN_BEGIN = 1,  /* an instant, in full */
    RUN_NAME = 2,   /* a name that records refer to by its number */
    RUN_INPUT = 3,  /* a delivery of the gate */
    RUN_TICK = 4,   /* the machine came this far */
    RUN_CHECK = 5,  /* the small state at an instant */
    RUN_FAULT = 6,  /* the host failed in a transfer of a drive */
    RUN_MEDIUM = 7, /* a medium was put into a drive, or could not be */
    RUN_END = 8,    /* the last instant, and the digest of everything */
    RUN_USED = 9,   /* clusters of a medium that were read or written */
};

struct run_instant {
    vtime when;
    uint64_t order, icount;
};

/* What is known of a medium. The content that `sum` is of: vm/media.h. */
struct run_medium {
    char drive[32], format[16];
    bool ok;        /* false: it could not be opened; the rest is empty */
    bool readonly;  /* of the host's, or of a CD-ROM */
    bool overlay;   /* snapshot=on */
    uint64_t bytes; /* of the disk */
    uint64_t sum;
    char path[4096];
};

/* Clusters [first, first + n) of a medium. */
struct run_range {
    uint64_t first, n;
};

#define RUNLOG_NAMES 256u       /* sources and drives of a machine, at most */
#define RUNLOG_CHECK (8u << 20) /* bytes of a check, at most */

struct runlog_names {
    char name[RUNLOG_NAMES][32];
    unsigned n;
};

struct runlog_writer {
    struct st_buf out; /* complete records; the owner takes them out */
    struct run_instant last;
    struct runlog_names names;
    struct st_buf check; /* the last one, without differences */
};

void runlog_begin(struct runlog_writer *w, const struct run_instant *at);
void runlog_input(struct runlog_writer *w, const struct run_instant *at,
                  const struct gate_event *ev);
void runlog_tick(struct runlog_writer *w, const struct run_instant *at);
void runlog_check(struct runlog_writer *w, const struct run_instant *at, const struct st_buf *now);
/* `transfer`: how many that drive has made since the beginning of the recording. */
void runlog_fault(struct runlog_writer *w, const char *drive, uint64_t transfer);
void runlog_medium(struct runlog_writer *w, const struct run_medium *m);
/* `number` of the medium, `sum` of all its clusters that were told, with these. */
void runlog_used(struct runlog_writer *w, uint64_t number, uint64_t sum,
                 const struct run_range *range, size_t n);
void runlog_end(struct runlog_writer *w, const struct run_instant *at, uint64_t digest);
void runlog_writer_free(struct runlog_writer *w);

/* One record. Pointers are valid until the next one is read. */
struct run_record {
    enum runlog_type type;
    struct run_instant at;         /* of this record, or of the one before if it has none */
    const char *name;              /* INPUT: the source; FAULT: the drive */
    const uint8_t *payload;        /* INPUT; CHECK */
    size_t len;                    /* INPUT; CHECK; USED: ranges */
    uint64_t value;                /* FAULT: the transfer; END: the digest; USED: the sum */
    uint64_t number;               /* USED: of the medium */
    const struct run_range *range; /* USED */
    const struct run_medium *medium;
};

/* Reads the records of a whole log, chunk after chunk. */
struct runlog_reader {
    struct inlog_reader *log; /* not owned; NULL: only `src` */
    struct st_src src;
    struct run_instant last;
    struct runlog_names names;
    struct st_buf check;
    struct run_medium medium;
    struct st_buf ranges;
    bool begun;
    const char *damage; /* why there is no further record; NULL: that was all */
};

/* False: there is none; r->damage. */
bool runlog_next(struct runlog_reader *r, struct run_record *rec);
void runlog_reader_free(struct runlog_reader *r);

/* A medium as text of one line, for the manifest, and back. */
void run_medium_put(struct st_buf *b, const struct run_medium *m);
bool run_medium_get(struct st_src *s, struct run_medium *m);

#endif
