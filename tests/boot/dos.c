/*
 * DOS machines for tests; see dos.h.
 */
#include "tests/boot/dos.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/t.h"

enum { KEY_CHUNKS = 1 }; /* between a key down and up, and to the next: half a ms of a busy guest */

/* --- Files --- */

const char *dos_shared_image(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/../shared/images/%s", T_SRCDIR, name);
    if (access(path, R_OK) == 0) {
        return path;
    }
    SKIP("no ../shared/images");
    return NULL;
}

bool dos_need(const char *path, const char *package)
{
    if (access(path, R_OK) == 0) {
        return true;
    }
    if (getenv("CI") != NULL) {
        FAIL("%s is missing: install the package %s", path, package);
    } else {
        SKIP("a Debian package is not installed (./check installs it)");
    }
    return false;
}

bool dos_possible(void)
{
    return dos_need("/usr/share/seabios/bios.bin", "seabios");
}

char *dos_write_file(const char *name, const void *data, size_t len)
{
    char *path = strdup(t_build_path(name));
    FILE *f = path ? fopen(path, "wb") : NULL;
    if (f && fwrite(data, 1, len, f) == len && fclose(f) == 0) {
        return path;
    }
    FAIL("%s cannot be written", name);
    free(path);
    return NULL;
}

uint8_t *dos_read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    if (f && fseek(f, 0, SEEK_END) == 0) {
        *len = (size_t)ftell(f);
        rewind(f);
        uint8_t *data = malloc(*len + 1);
        if (data && fread(data, 1, *len, f) == *len) {
            fclose(f);
            return data;
        }
        free(data);
    }
    if (f) {
        fclose(f);
    }
    FAIL("%s cannot be read", path);
    return NULL;
}

/* --- The machine --- */

static void add_drive(struct doppel_options *o, char *text, size_t size, const char *file,
                      const char *where, bool keep)
{
    if (file) {
        size_t n = strlen(file);
        bool qcow2 = n > 6 && strcmp(file + n - 6, ".qcow2") == 0;
        snprintf(text, size, "file=%s,format=%s,%s,snapshot=%s", file, qcow2 ? "qcow2" : "raw",
                 where, keep ? "off" : "on");
        o->drive[o->ndrives++] = text;
    }
}

static bool create(struct dos *d)
{
    struct doppel_options o;
    struct doppel_error e = {"", false};
    char drive[3][4200];
    doppel_options_init(&o, DOPPEL_ABI);
    o.machine = d->setup.machine ? d->setup.machine : "isapc";
    o.cpu = d->setup.cpu;
    o.ram_bytes = UINT64_C(16) << 20;
    o.rtc_epoch = 946684800; /* 1 January 2000 */
    o.seed = 1;
    if (d->setup.fda) {
        o.boot = "order=a"; /* firmware would start a hard disk first */
    }
    add_drive(&o, drive[0], sizeof drive[0], d->setup.fda, "if=floppy,index=0", d->setup.keep);
    add_drive(&o, drive[1], sizeof drive[1], d->setup.fdb, "if=floppy,index=1", d->setup.keep);
    add_drive(&o, drive[2], sizeof drive[2], d->setup.hda, "if=ide,index=0", d->setup.keep);
    d->vm = doppel_create(&o, &e);
    if (!d->vm) {
        FAIL("%s", e.msg);
        d->failed = true;
    }
    return d->vm != NULL;
}

static void look(struct dos *d)
{
    free(d->screen);
    d->screen = doppel_screen_text(d->vm);
    if (!d->screen) {
        d->screen = strdup("");
    }
}

bool dos_open(struct dos *d, const struct dos_setup *setup, unsigned save_at)
{
    *d = (struct dos){.setup = *setup, .save_at = save_at, .screen = strdup("")};
    return create(d);
}

void dos_close(struct dos *d)
{
    doppel_destroy(d->vm);
    free(d->screen);
    *d = (struct dos){.failed = true};
}

/* Report with all that helps to see why. */
static bool fail(struct dos *d, const char *what, const char *text)
{
    if (!d->failed) {
        FAIL("%s \"%s\" after %" PRIu64 " million instructions; the screen:\n%s\n"
             "by hand: doppel run -m 16 -machine %s%s%s%s%s%s%s",
             what, text, doppel_icount(d->vm) / 1000000, d->screen,
             d->setup.machine ? d->setup.machine : "isapc",
             d->setup.fda ? " -boot order=a -fda " : "", d->setup.fda ? d->setup.fda : "",
             d->setup.fdb ? " -fdb " : "", d->setup.fdb ? d->setup.fdb : "",
             d->setup.hda ? " -hda " : "", d->setup.hda ? d->setup.hda : "");
    }
    d->failed = true;
    return false;
}

/* Into a new machine with all that is in it. */
static bool change_machines(struct dos *d)
{
    uint8_t *data = NULL;
    size_t len = 0;
    struct doppel_error e = {"", false};
    doppel_save(d->vm, &data, &len);
    uint64_t digest = doppel_digest(d->vm);
    doppel_destroy(d->vm);
    bool ok = create(d) && doppel_load(d->vm, data, len, &e);
    free(data);
    if (!ok && d->vm) {
        FAIL("load: %s", e.msg);
    }
    d->failed |= !ok;
    if (!ok || !EXPECT_EQ(doppel_digest(d->vm), digest)) {
        return false;
    }
    boot_record_start(&d->log, d->vm, true);
    return true;
}

static bool chunk(struct dos *d)
{
    if (d->failed) {
        return false;
    }
    if (++d->chunks == d->save_at && !change_machines(d)) {
        return false;
    }
    enum doppel_stop why = doppel_run(d->vm, doppel_icount(d->vm) + DOS_CHUNK);
    if (why != DOPPEL_LIMIT) {
        char text[16];
        snprintf(text, sizeof text, "%d", (int)why);
        look(d);
        return fail(d, "the machine stopped with", text);
    }
    return true;
}

bool dos_run(struct dos *d, unsigned millions)
{
    for (unsigned i = 0; i < millions * (1000000 / DOS_CHUNK); i++) {
        if (!chunk(d)) {
            return false;
        }
    }
    look(d);
    return true;
}

/* The screen's last line that is not blank. */
static bool ends_with(const char *screen, const char *line)
{
    size_t end = strlen(screen), len = strlen(line);
    while (end && (screen[end - 1] == '\n' || screen[end - 1] == ' ')) {
        end--;
    }
    return end >= len && memcmp(screen + end - len, line, len) == 0 &&
           (end == len || screen[end - len - 1] == '\n');
}

/* `before`: a screen that it must not be any more, or NULL. */
static bool wait_change(struct dos *d, const char *before, const char *line, unsigned millions)
{
    for (unsigned i = 0; i < millions * (1000000 / DOS_CHUNK); i++) {
        if (!chunk(d)) {
            return false;
        }
        look(d);
        if (ends_with(d->screen, line) && !(before && strcmp(before, d->screen) == 0)) {
            return true;
        }
    }
    return fail(d, "no line", line);
}

bool dos_wait(struct dos *d, const char *line, unsigned millions)
{
    return wait_change(d, NULL, line, millions);
}

static bool press(struct dos *d, const char *key, bool shift)
{
    unsigned code = doppel_key_code(key);
    bool ok = code != 0;
    ok = ok && (!shift || doppel_key_event(d->vm, doppel_key_code("shift"), true));
    ok = ok && doppel_key_event(d->vm, code, true);
    for (unsigned i = 0; ok && i < KEY_CHUNKS; i++) {
        ok = chunk(d);
    }
    ok = ok && doppel_key_event(d->vm, code, false);
    ok = ok && (!shift || doppel_key_event(d->vm, doppel_key_code("shift"), false));
    for (unsigned i = 0; ok && i < KEY_CHUNKS; i++) {
        ok = chunk(d);
    }
    return ok || fail(d, "cannot type", key);
}

bool dos_type(struct dos *d, const char *text)
{
    static const struct {
        char c;
        const char *key;
        bool shift;
    } special[] = {
        {' ', "spc", false},        {'\n', "ret", false},   {'.', "dot", false},
        {'\\', "backslash", false}, {'/', "slash", false},  {':', "semicolon", true},
        {'*', "8", true},           {'-', "minus", false},  {'=', "equal", false},
        {'>', "dot", true},         {'\033', "esc", false}, {',', "comma", false},
    };
    for (; *text && !d->failed; text++) {
        char key[2] = {*text, 0};
        const char *name = key;
        bool shift = false;
        for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
            if (special[i].c == *text) {
                name = special[i].key;
                shift = special[i].shift;
            }
        }
        if (!press(d, name, shift)) {
            return false;
        }
    }
    return !d->failed;
}

bool dos_command(struct dos *d, const char *line, const char *prompt, unsigned millions)
{
    look(d);
    char *before = strdup(d->screen);
    bool ok = dos_type(d, line) && dos_type(d, "\n") && wait_change(d, before, prompt, millions);
    free(before);
    return ok;
}

bool dos_shows(struct dos *d, const char *text)
{
    return !d->failed && (strstr(d->screen, text) || fail(d, "the screen does not show", text));
}

/* --- Twice --- */

bool dos_twice(const struct dos_setup *setup, bool (*script)(struct dos *d))
{
    struct dos a, b;
    bool ok = dos_open(&a, setup, 0) && script(&a);
    if (ok) {
        uint64_t digest = doppel_digest(a.vm), count = doppel_icount(a.vm);
        unsigned chunks = a.chunks;
        printf("  %" PRIu64 " million instructions, digest %016" PRIx64 "\n", count / 1000000,
               digest);
        char *screen = strdup(a.screen);
        dos_close(&a);
        ok = dos_open(&b, setup, chunks / 2) && script(&b);
        ok = ok && EXPECT_EQ(doppel_icount(b.vm), count) &&
             EXPECT_EQ(doppel_digest(b.vm), digest) && EXPECT_STR(b.screen, screen);
        free(screen);
        if (ok) {
            boot_record_finish(&b.log, &b.vm, "jit");
        }
        dos_close(&b);
    } else {
        dos_close(&a);
    }
    return ok;
}
