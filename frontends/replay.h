/* `doppel replay FILE`: a machine from a recording. */
#ifndef DOPPEL_FRONTENDS_REPLAY_H
#define DOPPEL_FRONTENDS_REPLAY_H

#include "frontends/options.h"

/* Options of `doppel replay` in argv[first..] to those of a machine: o->vm is the recorded one,
 * o->log the log. As options_parse. */
enum options_result replay_parse(struct options *o, int argc, char **argv, int first, FILE *out,
                                 struct err *e);
void replay_help(FILE *out);

#endif
