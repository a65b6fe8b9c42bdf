/*
 * What the files of the option parser share. Private to frontends/options*.c.
 */
#ifndef DOPPEL_FRONTENDS_OPTIONS_PRIV_H
#define DOPPEL_FRONTENDS_OPTIONS_PRIV_H

#include "frontends/options.h"

/* frontends/options_drive.c */
bool options_drive(struct options *o, const char *v, struct err *e);
bool options_hda(struct options *o, const char *v, struct err *e);
bool options_hdb(struct options *o, const char *v, struct err *e);
bool options_hdc(struct options *o, const char *v, struct err *e);
bool options_hdd(struct options *o, const char *v, struct err *e);
bool options_cdrom(struct options *o, const char *v, struct err *e);
bool options_fda(struct options *o, const char *v, struct err *e);
bool options_fdb(struct options *o, const char *v, struct err *e);
/* The positional IMAGE: look at it and attach it as what it is. */
bool options_image(struct options *o, struct err *e);

#endif
