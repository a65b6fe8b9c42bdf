/*
 * Machines as INI files: section [machine], whose keys are the names of options, and `image`.
 * Relative paths in values are relative to the file's folder.
 */
#ifndef DOPPEL_FRONTENDS_MACHINE_INI_H
#define DOPPEL_FRONTENDS_MACHINE_INI_H

#include "frontends/options.h"

/* Options of a file; options_free either way. */
bool config_read(struct options *o, const char *path, struct err *e);
/* The options as given, into a file; comments of one that is there already are kept. */
bool config_write(const struct options *o, const char *path, struct err *e);

#endif
