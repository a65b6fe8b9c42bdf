/*
 * What the files of host/chr*.c share: one back end and the set of them.
 */
#ifndef DOPPEL_HOST_CHR_PRIV_H
#define DOPPEL_HOST_CHR_PRIV_H

#include <termios.h>

#include "host/chr.h"

#define CHR_BUF 4096u
#define CHR_MAX 16u

struct host_chr {
    struct chr chr; /* first */
    struct chr_set *set;
    int in, out;  /* descriptors; -1: none (now) */
    int listener; /* a Unix server waiting for its next client; -1: none */
    bool sock;    /* in and out are a socket */
    bool own_fds; /* to be closed */
    bool tty;     /* raw mode: `saved` is to be restored */
    bool mux;     /* shared by a device and the monitor; escape keys are looked for */
    bool escaped; /* Ctrl-A was seen */
    bool to_mon;  /* input goes to the monitor */
    bool is_stdio;
    char *path; /* of our socket, to be removed at the end */
    struct termios saved;
    uint8_t buf[CHR_BUF]; /* output not yet written */
    size_t len;
    uint8_t held[256]; /* input that the device had no room for */
    size_t nheld;
};

struct chr_set {
    struct chr_hooks hooks;
    struct host_chr *c[CHR_MAX];
    unsigned n;
    int wake_rd, wake_wr;
    bool stdio_in; /* somebody reads standard input */
};

/* Put a terminal into raw mode (host/chr_tty.c). */
void chr_tty_raw(struct host_chr *h);
void chr_tty_restore(struct host_chr *h);

/* unix:PATH,... after the colon (host/chr_unix.c). */
bool chr_unix_open(struct host_chr *h, const char *spec, struct err *e);
void chr_unix_accept(struct host_chr *h);
void chr_unix_close(struct host_chr *h);

#endif
