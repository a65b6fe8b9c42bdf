/*
 * The terminal: raw, so that the guest sees each key, Ctrl-C included; output processing stays on,
 * so that the newline of the monitor and of simple guests returns the carriage.
 */
#include <string.h>
#include <unistd.h>

#include "host/chr_priv.h"

void chr_tty_raw(struct host_chr *h)
{
    if (!isatty(h->in) || tcgetattr(h->in, &h->saved) != 0) {
        return;
    }
    struct termios t = h->saved;
    t.c_iflag &= (tcflag_t) ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t.c_lflag &= (tcflag_t) ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    t.c_cflag &= (tcflag_t) ~(CSIZE | PARENB);
    t.c_cflag |= CS8;
    t.c_oflag |= OPOST;
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    h->tty = tcsetattr(h->in, TCSANOW, &t) == 0;
}

void chr_tty_restore(struct host_chr *h)
{
    if (h->tty) {
        tcsetattr(h->in, TCSANOW, &h->saved);
        h->tty = false;
    }
}
