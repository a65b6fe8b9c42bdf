/*
 * `doppel image`: disk images made, described, checked and copied, spelled as
 * in qemu-img.
 */
#ifndef DOPPEL_FRONTENDS_IMAGE_H
#define DOPPEL_FRONTENDS_IMAGE_H

/* argv[first] is what to do. The exit status: as qemu-img's, and 2 for a wrong
 * command line. */
int image_command(int argc, char **argv, int first);

#endif
