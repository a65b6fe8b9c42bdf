/* `doppel image`; see image.h. */
#include "frontends/image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doppel.h"
#include "frontends/session.h"
#include "util/bits.h"
#include "util/err.h"
#include "util/keyval.h"

/* qemu-img check's */
enum { CHECK_ERRORS = 2, CHECK_LEAKS = 3 };

struct job {
    struct doppel_image_new make;
    const char *format; /* of an image that is there; NULL: by content */
    bool repair;
    const char *arg[2];
    unsigned nargs;
};

/* --- Values --- */

/* "10G": bytes, or with a suffix. */
static bool parse_size(const char *text, uint64_t *out)
{
    static const char suffix[] = "bkmgtp";
    char *end;
    if (*text < '0' || *text > '9') {
        return false;
    }
    errno = 0;
    uint64_t v = strtoull(text, &end, 10);
    const char *s = *end ? strchr(suffix, *end | 0x20) : suffix;
    unsigned shift = s ? 10 * (unsigned)(s - suffix) : 0;
    if (!s || errno || (*end && end[1]) || v > UINT64_MAX >> shift) {
        return false;
    }
    *out = v << shift;
    return true;
}

static bool set_compat(struct job *j, const char *v, struct err *e)
{
    bool old = strcmp(v, "0.10") == 0 || strcmp(v, "v2") == 0;
    j->make.version = old ? 2 : 3;
    return old || strcmp(v, "1.1") == 0 || strcmp(v, "v3") == 0 ||
           err_usage(e, "compat=%.60s: want 0.10 or 1.1", v);
}

/* -o cluster_size=N,compat=VERSION,refcount_bits=N */
static bool set_options(struct job *j, const char *text, struct err *e)
{
    struct keyval kv;
    e->msg[0] = 0;
    while (keyval_next(&text, &kv, e)) {
        uint64_t n = 0;
        bool cluster = strcmp(kv.key, "cluster_size") == 0;
        if (strcmp(kv.key, "compat") == 0) {
            if (!set_compat(j, kv.value, e)) {
                return false;
            }
            continue;
        }
        if (!cluster && strcmp(kv.key, "refcount_bits") != 0) {
            return err_usage(e, "-o %.60s: want cluster_size=, compat= or refcount_bits=",
                             kv.key[0] ? kv.key : kv.value);
        }
        if (!parse_size(kv.value, &n) || n == 0 || n > UINT32_MAX) {
            return err_usage(e, "%s=%.60s: want a number", kv.key, kv.value);
        }
        *(cluster ? &j->make.cluster_size : &j->make.refcount_bits) = (uint32_t)n;
    }
    return !e->msg[0];
}

static bool set_new_format(struct job *j, const char *v, struct err *e)
{
    (void)e;
    j->make.format = v;
    return true;
}

static bool set_format(struct job *j, const char *v, struct err *e)
{
    (void)e;
    j->format = v;
    return true;
}

static bool set_backing(struct job *j, const char *v, struct err *e)
{
    j->make.backing = v;
    return *v || err_usage(e, "-b: want the name of a file");
}

static bool set_backing_format(struct job *j, const char *v, struct err *e)
{
    (void)e;
    j->make.backing_format = v;
    return true;
}

static bool set_repair(struct job *j, const char *v, struct err *e)
{
    j->repair = true;
    return strcmp(v, "all") == 0 || strcmp(v, "leaks") == 0 ||
           err_usage(e, "-r %.60s: want all or leaks", v);
}

/* --- What to do --- */

static int failed(const struct doppel_error *e)
{
    return complain(NULL, e->usage ? EXIT_USAGE : EXIT_SETUP, e->msg);
}

static int do_create(struct job *j)
{
    struct doppel_error e;
    if (j->nargs == 2 && (!parse_size(j->arg[1], &j->make.bytes) || !j->make.bytes)) {
        snprintf(e.msg, sizeof e.msg, "%.100s: want a size such as 512M or 10G", j->arg[1]);
        return complain(NULL, EXIT_USAGE, e.msg);
    }
    return doppel_image_create(j->arg[0], &j->make, &e) ? 0 : failed(&e);
}

static int do_convert(struct job *j)
{
    struct doppel_error e;
    return doppel_image_convert(j->arg[0], j->format, j->arg[1], &j->make, &e) ? 0 : failed(&e);
}

static void print_size(const char *what, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    unsigned u = 0;
    while (u + 1 < ARRAY_LEN(units) && bytes >> (10 * (u + 1))) {
        u++;
    }
    uint64_t tenths = (bytes >> (10 * u)) * 10 + ((bytes & bits_mask(10 * u)) * 10 >> (10 * u));
    printf("%s: %" PRIu64, what, tenths / 10);
    if (tenths % 10) {
        printf(".%" PRIu64, tenths % 10);
    }
    printf(" %s (%" PRIu64 " bytes)\n", units[u], bytes);
}

static int do_info(struct job *j)
{
    struct doppel_image_info i;
    struct doppel_error e;
    if (!doppel_image_info(j->arg[0], j->format, &i, &e)) {
        return failed(&e);
    }
    printf("image: %s\nfile format: %s\n", j->arg[0], i.format);
    print_size("virtual size", i.bytes);
    print_size("disk size", i.host_bytes);
    if (!i.version) {
        return 0;
    }
    printf("cluster_size: %" PRIu32 "\n", i.cluster_size);
    if (i.backing[0]) {
        bool same = strcmp(i.backing, i.backing_path) == 0;
        printf("backing file: %s%s%s%s\n", i.backing,
               same ? "" : " (actual path: ", same ? "" : i.backing_path, same ? "" : ")");
    }
    if (i.backing_format[0]) {
        printf("backing file format: %s\n", i.backing_format);
    }
    printf("compat: %s\nrefcount bits: %" PRIu32 "\nsnapshots: %" PRIu32 "\n",
           i.version == 2 ? "0.10" : "1.1", i.refcount_bits, i.snapshots);
    printf("closed properly: %s\nmarked as corrupt: %s\n", i.dirty ? "no" : "yes",
           i.corrupt ? "yes" : "no");
    return 0;
}

static void say(void *ctx, const char *line)
{
    (void)ctx;
    printf("%s\n", line);
}

static int do_check(struct job *j)
{
    struct doppel_image_check c;
    struct doppel_error e;
    if (j->format && strcmp(j->format, "qcow2") != 0) {
        return complain(NULL, EXIT_USAGE, "only qcow2 images can be checked");
    }
    if (!doppel_image_check(j->arg[0], j->repair, &c, say, NULL, &e)) {
        return failed(&e);
    }
    if (c.errors) {
        printf("%" PRIu64 " errors were found on the image; do not write to it%s.\n", c.errors,
               j->repair ? "" : " before -r all");
    }
    if (c.leaks) {
        printf("%" PRIu64 " leaked clusters were found on the image.\n"
               "This means waste of disk space, but no harm to data.\n",
               c.leaks);
    }
    if (!c.errors && !c.leaks) {
        printf("No errors were found on the image.\n");
    }
    printf("%" PRIu64 "/%" PRIu64 " clusters allocated; image end offset: %" PRIu64 "\n",
           c.allocated, c.clusters, c.end);
    return c.errors ? CHECK_ERRORS : c.leaks ? CHECK_LEAKS : 0;
}

/* --- The command line --- */

// clang-format off
static const struct command {
    const char *name;
    int (*run)(struct job *j);
    unsigned args_min, args_max;
    const char *usage;
    struct {
        const char *name;
        bool (*set)(struct job *j, const char *v, struct err *e);
    } opt[4];
} commands[] = {
    {"create", do_create, 1, 2,
     "create [-f raw|qcow2] [-b BACKING [-F FORMAT]] [-o OPTIONS] FILE [SIZE]",
     {{"-f", set_new_format}, {"-b", set_backing}, {"-F", set_backing_format},
      {"-o", set_options}}},
    {"info", do_info, 1, 1, "info [-f raw|qcow2] FILE", {{"-f", set_format}}},
    {"check", do_check, 1, 1, "check [-f qcow2] [-r all] FILE",
     {{"-f", set_format}, {"-r", set_repair}}},
    {"convert", do_convert, 2, 2, "convert [-f raw|qcow2] -O raw|qcow2 [-o OPTIONS] FROM TO",
     {{"-f", set_format}, {"-O", set_new_format}, {"-o", set_options}}},
};
// clang-format on

static void print_usage(FILE *out)
{
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
        fprintf(out, "%s doppel image %s\n", i ? "      " : "Usage:", commands[i].usage);
    }
    fprintf(out, "\nSIZE is in bytes, or with a suffix K, M, G, T. OPTIONS of "
                 "qcow2: cluster_size=N,"
                 "\ncompat=0.10|1.1, refcount_bits=N. check ends with 0 (sound), "
                 "1 (cannot say), 2 "
                 "(damaged)\nor 3 (leaks only).\n");
}

static bool one_option(const struct command *c, struct job *j, const char *name, const char *value,
                       struct err *e)
{
    for (unsigned i = 0; i < ARRAY_LEN(c->opt) && c->opt[i].name; i++) {
        if (strcmp(name, c->opt[i].name) == 0) {
            return value ? c->opt[i].set(j, value, e)
                         : err_usage(e, "%s: want a value after it", name);
        }
    }
    return err_usage(e, "%.60s: want \"doppel image %s\"", name, c->usage);
}

static bool parse(const struct command *c, struct job *j, int argc, char **argv, int at,
                  struct err *e)
{
    for (; at < argc; at++) {
        if (argv[at][0] == '-' && argv[at][1]) {
            if (!one_option(c, j, argv[at], at + 1 < argc ? argv[at + 1] : NULL, e)) {
                return false;
            }
            at++;
        } else if (j->nargs < c->args_max) {
            j->arg[j->nargs++] = argv[at];
        } else {
            return err_usage(e, "%.60s: want \"doppel image %s\"", argv[at], c->usage);
        }
    }
    return j->nargs >= c->args_min || err_usage(e, "want \"doppel image %s\"", c->usage);
}

int image_command(int argc, char **argv, int first)
{
    const char *what = first < argc ? argv[first] : "";
    struct job j = {.nargs = 0};
    struct err e = {""};
    if (strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0 || strcmp(what, "help") == 0) {
        print_usage(stdout);
        return 0;
    }
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(what, commands[i].name) == 0) {
            return parse(&commands[i], &j, argc, argv, first + 1, &e)
                       ? commands[i].run(&j)
                       : complain(NULL, EXIT_USAGE, e.msg);
        }
    }
    err_usage(&e, "image %.60s: want create, info, check or convert", what);
    return complain(NULL, EXIT_USAGE, e.msg);
}
