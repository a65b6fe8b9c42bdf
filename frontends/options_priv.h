/*
 * What the files of the option parser share. Private to frontends/options*.c.
 */
#ifndef DOPPEL_FRONTENDS_OPTIONS_PRIV_H
#define DOPPEL_FRONTENDS_OPTIONS_PRIV_H

#include "frontends/options.h"

/* A row of the table. */
struct option {
    const char *name, *arg, *help; /* arg NULL: a switch */
    bool (*set)(struct options *o, const char *value, struct err *e);
    /* Values for "help"; NULL: none to list. */
    const char *(*list)(unsigned i, const char **help);
};

/* frontends/options.c: a row by its name; NULL: none. */
const struct option *options_find(const char *name);

/* frontends/options_table.c */
extern const struct option options_table[];
extern const unsigned options_count;
/* The values that an option lists. */
void options_list(const struct option *opt, FILE *out);

/* frontends/options_set.c: one function an option. */
bool options_set_m(struct options *o, const char *v, struct err *e);
bool options_set_smp(struct options *o, const char *v, struct err *e);
bool options_set_cpu(struct options *o, const char *v, struct err *e);
bool options_set_machine(struct options *o, const char *v, struct err *e);
bool options_set_kernel(struct options *o, const char *v, struct err *e);
bool options_set_initrd(struct options *o, const char *v, struct err *e);
bool options_set_append(struct options *o, const char *v, struct err *e);
bool options_set_serial(struct options *o, const char *v, struct err *e);
bool options_set_debugcon(struct options *o, const char *v, struct err *e);
bool options_set_parallel(struct options *o, const char *v, struct err *e);
bool options_set_monitor(struct options *o, const char *v, struct err *e);
bool options_set_display(struct options *o, const char *v, struct err *e);
bool options_set_nographic(struct options *o, const char *v, struct err *e);
bool options_set_rtc(struct options *o, const char *v, struct err *e);
bool options_set_device(struct options *o, const char *v, struct err *e);
bool options_set_nic(struct options *o, const char *v, struct err *e);
bool options_set_net(struct options *o, const char *v, struct err *e);
bool options_set_netdev(struct options *o, const char *v, struct err *e);
bool options_set_snapshot(struct options *o, const char *v, struct err *e);
bool options_set_no_reboot(struct options *o, const char *v, struct err *e);
bool options_set_speed(struct options *o, const char *v, struct err *e);
bool options_set_icount(struct options *o, const char *v, struct err *e);
bool options_set_history(struct options *o, const char *v, struct err *e);
bool options_set_no_shutdown(struct options *o, const char *v, struct err *e);
bool options_set_paused(struct options *o, const char *v, struct err *e);
bool options_set_name(struct options *o, const char *v, struct err *e);
bool options_set_log(struct options *o, const char *v, struct err *e);
bool options_set_log_file(struct options *o, const char *v, struct err *e);
bool options_set_vga(struct options *o, const char *v, struct err *e);
bool options_set_bios(struct options *o, const char *v, struct err *e);
bool options_set_firmware_dir(struct options *o, const char *v, struct err *e);
bool options_set_boot(struct options *o, const char *v, struct err *e);
bool options_set_fw_cfg(struct options *o, const char *v, struct err *e);
bool options_set_smbios(struct options *o, const char *v, struct err *e);
bool options_set_uuid(struct options *o, const char *v, struct err *e);
bool options_set_engine(struct options *o, const char *v, struct err *e);
bool options_set_seed(struct options *o, const char *v, struct err *e);
bool options_set_icount_limit(struct options *o, const char *v, struct err *e);
bool options_set_gdb(struct options *o, const char *v, struct err *e);
bool options_set_gdb_port(struct options *o, const char *v, struct err *e);
bool options_set_digest(struct options *o, const char *v, struct err *e);
bool options_set_info(struct options *o, const char *v, struct err *e);
bool options_set_save_state(struct options *o, const char *v, struct err *e);
bool options_set_flight(struct options *o, const char *v, struct err *e);
bool options_set_record(struct options *o, const char *v, struct err *e);
bool options_set_load_state(struct options *o, const char *v, struct err *e);
bool options_set_loadvm(struct options *o, const char *v, struct err *e);
bool options_set_snapshot_dir(struct options *o, const char *v, struct err *e);
/* Where snapshots are by name unless that was said: beside `path`, without `end` if it ends so. */
void options_snapshots_beside(struct options *o, const char *path, const char *end);
bool options_set_write_config(struct options *o, const char *v, struct err *e);
/* Value i of a list and what it means (help may be NULL); NULL: no more. */
const char *options_backend_name(unsigned i, const char **help);
const char *options_display_name(unsigned i, const char **help);
const char *options_vga_name(unsigned i, const char **help);
const char *options_engine_name(unsigned i, const char **help);

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
