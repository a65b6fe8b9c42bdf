/*
 * Snapshots: the file's format, snapshots by name, and what can go wrong with either. Fuzzed bytes
 * are in tests/fuzz/fuzz_snapshot.c, disks that are written to in test_drive.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doppel.h"
#include "mmu/ram.h"
#include "tests/lib/poke.h"
#include "tests/t.h"
#include "util/bits.h"
#include "vm/snap_file.h"

/* --- A host that does things by halves, and is interrupted in between --- */

static bool halves;
static int fail_read; /* an errno; 0: works */

/* How much of n bytes is done at once. */
static size_t part(size_t n)
{
    return halves && n > 2 ? n / 2 + 1 : n;
}

/* Does a signal come instead? Any thread may ask. */
static bool interrupted(void)
{
    static atomic_uint calls;
    return halves && atomic_fetch_add(&calls, 1) % 3 == 2;
}

ssize_t pread(int fd, void *buf, size_t n, off_t off)
{
    if (fail_read || interrupted()) {
        errno = fail_read ? fail_read : EINTR;
        return -1;
    }
    return syscall(SYS_pread64, fd, buf, part(n), off);
}

ssize_t write(int fd, const void *buf, size_t n)
{
    if (interrupted()) {
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_write, fd, buf, part(n));
}

/* --- The file --- */

enum { PAGES = 100, KINDS = 5 };

static uint8_t page[KINDS][PAGE_SIZE]; /* 0 zeros, 1 and 2 easy to compress, 3 and 4 not */

static void fill_pages(void)
{
    struct t_rng rng = {7};
    for (unsigned i = 0; i < PAGE_SIZE; i++) {
        page[1][i] = (uint8_t)(i / 64);
        page[2][i] = (uint8_t)(i % 7);
        page[3][i] = (uint8_t)t_rand(&rng);
        page[4][i] = (uint8_t)t_rand(&rng);
    }
}

/* What page i of a region is. */
static unsigned kind_of(uint64_t i)
{
    return (unsigned)(i * i / 7 % KINDS);
}

static bool again(void *from, uint64_t index, uint8_t *to)
{
    memcpy(to, page[3], PAGE_SIZE);
    *(unsigned *)from += index == 50;
    return true;
}

static struct snap_contents contents(void)
{
    struct snap_contents c = {
        .head = (const uint8_t *)"the head", .head_len = 8, .threads = 1, .compress = true};
    c.tables = page[1];
    c.tables_len = 3000;
    c.manifest = (struct snap_manifest){.date = 1700000001, .icount = 12, .vtime = 34};
    memcpy(c.manifest.name, "name", 5);
    return c;
}

/* Two regions; of the second, changed pages only if there is a parent. */
static struct snap_writer *writer(bool child, unsigned *asked)
{
    struct snap_writer *w = snap_writer_new();
    snap_region(w, "one", PAGES);
    for (uint64_t i = 0; i < PAGES; i++) {
        if (child && i != 10) {
            snap_put_kind(w, i, SNAP_PARENT);
        } else if (kind_of(i) && i != 50) {
            snap_put(w, i, page[child ? 4 : kind_of(i)]);
        } else if (i == 50) {
            snap_put_later(w, i, again, asked);
        }
    }
    snap_region(w, "two", UINT64_C(1) << 40);
    snap_put_kind(w, 5, SNAP_ZERO);
    snap_put(w, UINT64_C(1) << 39, page[2]);
    return w;
}

static struct snap_file *write_and_open(const struct snap_contents *c, bool child, struct st_buf *b,
                                        uint64_t *id)
{
    unsigned asked = 0;
    struct err e = {""};
    struct snap_writer *w = writer(child, &asked);
    EXPECT(snap_write(w, c, -1, b, id));
    EXPECT(asked == !child);
    snap_writer_free(w);
    struct snap_file *f = snap_open_bytes(b->data, b->len, &e);
    if (!f) {
        FAIL("%s", e.msg);
    }
    return f;
}

static void check_pages(struct snap_file *f, uint64_t changed)
{
    struct ram r;
    struct snap_chain *c = snap_chain_new(f, NULL, NULL);
    EXPECT(ram_init(&r, PAGES * PAGE_SIZE));
    snap_chain_ram(c, "one", &r);
    for (uint64_t i = 0; i < PAGES; i++) {
        const uint8_t *want = page[i == changed ? 4 : i == 50 ? 3 : kind_of(i)];
        EXPECT(memcmp(ram_read_ptr(&r, i), want, PAGE_SIZE) == 0);
    }
    uint8_t data[PAGE_SIZE];
    EXPECT_EQ(snap_chain_next(c, "two", 0), 5);
    EXPECT(snap_chain_get(c, "two", 5, data) && memcmp(data, page[0], PAGE_SIZE) == 0);
    EXPECT_EQ(snap_chain_next(c, "two", 6), UINT64_C(1) << 39);
    EXPECT(snap_chain_get(c, "two", UINT64_C(1) << 39, data));
    EXPECT_MEM(data, page[2], PAGE_SIZE);
    EXPECT_EQ(snap_chain_next(c, "two", (UINT64_C(1) << 39) + 1), snap_chain_pages(c, "two"));
    snap_chain_put(c);
    ram_fini(&r);
}

TEST(snapshot_file_holds_what_was_put)
{
    fill_pages();
    for (unsigned way = 0; way < 4; way++) {
        struct snap_contents c = contents();
        struct st_buf b = {0};
        struct err e = {""};
        uint8_t *tables = NULL;
        size_t len;
        uint64_t id;
        c.compress = way & 1;
        c.threads = way & 2 ? 4 : 1;
        struct snap_file *f = write_and_open(&c, false, &b, &id);
        const struct snap_info *i = snap_info_of(f);
        EXPECT(i->id == id && i->bytes == b.len);
        EXPECT(memcmp(&i->manifest, &c.manifest, sizeof c.manifest) == 0);
        EXPECT(i->head_len == 8 && memcmp(i->head, "the head", 8) == 0);
        EXPECT(snap_verify(f, &e));
        EXPECT(snap_tables(f, &tables, &len, &e) && len == 3000);
        EXPECT_MEM(tables, page[1], 3000);
        EXPECT(snap_has_region(f, "one", PAGES) && !snap_has_region(f, "one", PAGES - 1));
        EXPECT_STR(snap_region_name(f, 1), "two");
        EXPECT(snap_region_name(f, 2) == NULL);
        /* Equal pages once: four kinds and one that was had again, in chunks of 16. */
        EXPECT(b.len < (2 * SNAP_CHUNK + 3) * PAGE_SIZE);
        check_pages(f, PAGES);
        free(tables);
        st_buf_free(&b);
    }
}

TEST(snapshot_file_is_the_same_by_any_number_of_threads)
{
    struct snap_contents c = contents();
    struct st_buf a = {0}, b = {0};
    uint64_t one, two;
    fill_pages();
    snap_close(write_and_open(&c, false, &a, &one));
    c.threads = 5;
    snap_close(write_and_open(&c, false, &b, &two));
    EXPECT(one == two && a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
    st_buf_free(&a);
    st_buf_free(&b);
}

TEST(snapshot_file_and_its_parent)
{
    struct snap_contents c = contents();
    struct st_buf a = {0}, b = {0};
    struct err e = {""};
    uint64_t id, child;
    fill_pages();
    struct snap_file *f = write_and_open(&c, false, &a, &id);
    memcpy(c.manifest.parent_name, "name", 5);
    c.manifest.parent = id;
    struct snap_file *g = write_and_open(&c, true, &b, &child);
    EXPECT(b.len < a.len && child != id);
    EXPECT(!snap_verify(g, &e) && strstr(e.msg, "parent name is not there"));
    EXPECT(!snap_set_parent(f, g) && !snap_set_parent(g, g));
    EXPECT(snap_set_parent(g, f) && snap_verify(g, &e));
    check_pages(g, 10);
    st_buf_free(&a);
    st_buf_free(&b);
}

TEST(snapshot_file_cut_or_changed_anywhere)
{
    struct snap_contents c = contents();
    struct st_buf b = {0};
    uint64_t id;
    fill_pages();
    snap_close(write_and_open(&c, false, &b, &id));
    for (size_t at = 0; at < b.len; at += at < 80 || at > b.len - 400 ? 1 : 97) {
        for (unsigned cut = 0; cut < 2; cut++) {
            struct err e = {""};
            b.data[at] ^= cut ? 0 : 0x10;
            struct snap_file *f = snap_open_bytes(b.data, cut ? at : b.len, &e);
            EXPECT(!f || !snap_verify(f, &e));
            EXPECT(e.msg[0] != 0);
            snap_close(f);
            b.data[at] ^= cut ? 0 : 0x10;
        }
    }
    st_buf_free(&b);
}

/* --- By name --- */

static char folder[] = "snapshot-test-XXXXXX";

static struct doppel_vm *machine(void)
{
    struct doppel_options o;
    struct doppel_error e = {"", false};
    doppel_options_init(&o, DOPPEL_ABI);
    o.ram_bytes = 8u << 20;
    o.cpus = 2;
    o.rtc_epoch = 1700000000;
    o.seed = 7;
    o.snapshot_dir = folder;
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        FAIL("%s", e.msg);
    }
    return vm;
}

static void start(void)
{
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
    EXPECT(mkdtemp(folder) != NULL);
    EXPECT_EQ(rmdir(folder), 0); /* made when there is something to put in */
}

static unsigned files(bool remove_them)
{
    unsigned n = 0;
    DIR *d = opendir(folder);
    struct dirent *x;
    while (d && (x = readdir(d)) != NULL) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", folder, x->d_name);
        if (strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0) {
            n++;
            if (remove_them) {
                unlink(path);
            }
        }
    }
    if (d) {
        closedir(d);
    }
    return n;
}

static void end(void)
{
    files(true);
    rmdir(folder);
}

static uint64_t size_of(const char *name)
{
    char path[400];
    struct stat st = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    EXPECT_EQ(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static bool save(struct doppel_vm *vm, const char *name)
{
    struct doppel_error e = {"", false};
    bool ok = doppel_snapshot_save(vm, name, 1700000000, &e);
    if (!ok) {
        FAIL("%s", e.msg);
    }
    return ok;
}

static bool load(struct doppel_vm *vm, const char *name)
{
    struct doppel_error e = {"", false};
    bool ok = doppel_snapshot_load(vm, name, &e);
    if (!ok) {
        FAIL("%s", e.msg);
    }
    return ok;
}

/* Refused with this in the message, and the machine as it was. */
static void refused(struct doppel_vm *vm, const char *name, const char *why)
{
    struct doppel_error e = {"", false};
    uint64_t was = doppel_digest(vm);
    EXPECT(!doppel_snapshot_load(vm, name, &e));
    if (!strstr(e.msg, why)) {
        FAIL("\"%s\" does not say \"%s\"", e.msg, why);
    }
    EXPECT_EQ(doppel_digest(vm), was);
}

/* Something in every page of the first MiB but the first few. */
static void write_ram(struct doppel_vm *vm, uint8_t value)
{
    poke_pages(vm, 16, 160, value);
}

TEST(snapshots_by_name)
{
    start();
    struct doppel_vm *vm = machine();
    struct doppel_error e;
    doppel_run(vm, 50000);
    write_ram(vm, 1);
    save(vm, "a");
    uint64_t a = doppel_digest(vm);
    doppel_run(vm, 70000);
    save(vm, "b");
    uint64_t b = doppel_digest(vm);
    EXPECT(size_of("b") < size_of("a") / 2); /* changes only */
    write_ram(vm, 2);
    save(vm, "c");
    uint64_t c = doppel_digest(vm);
    for (unsigned i = 0; i < 2; i++) {
        load(vm, "a");
        EXPECT_EQ(doppel_digest(vm), a);
        doppel_run(vm, 70000);
        load(vm, "c");
        EXPECT_EQ(doppel_digest(vm), c);
        load(vm, "b");
        EXPECT_EQ(doppel_digest(vm), b);
        doppel_destroy(vm);
        vm = machine();
    }
    /* What others build on stays behind a name. */
    EXPECT(doppel_snapshot_delete(vm, "a", &e));
    EXPECT(!doppel_snapshot_delete(vm, "a", &e));
    refused(vm, "a", "No such file");
    EXPECT_EQ(files(false), 3);
    load(vm, "b");
    EXPECT_EQ(doppel_digest(vm), b);
    load(vm, "c");
    EXPECT_EQ(doppel_digest(vm), c);
    save(vm, "b"); /* c's parent is replaced, and its own */
    load(vm, "c");
    EXPECT_EQ(doppel_digest(vm), c);
    EXPECT(doppel_snapshot_delete(vm, "c", &e));
    load(vm, "b");
    EXPECT_EQ(doppel_digest(vm), c);
    EXPECT(doppel_snapshot_delete(vm, "b", &e));
    EXPECT_EQ(files(false), 0);
    doppel_destroy(vm);
    end();
}

TEST(snapshot_goes_on_as_the_machine_would_have)
{
    start();
    for (unsigned step = 0; step < 4; step++) {
        struct doppel_vm *a = machine(), *b = machine();
        doppel_run(a, 1000 + step * 30011);
        save(a, "x");
        doppel_run(a, 200000);
        load(b, "x");
        files(true); /* the file vanishes: it is open */
        doppel_run(b, 200000);
        EXPECT_EQ(doppel_digest(a), doppel_digest(b));
        doppel_destroy(a);
        doppel_destroy(b);
    }
    end();
}

TEST(snapshot_names)
{
    struct doppel_error e;
    start();
    struct doppel_vm *vm = machine();
    static const char *const bad[] = {"", ".x", "a\nb", "x.new"};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        EXPECT(!doppel_snapshot_save(vm, bad[i], 0, &e));
        EXPECT(strstr(e.msg, "not a name"));
    }
    char path[300];
    snprintf(path, sizeof path, "%s/elsewhere", folder);
    EXPECT(!doppel_snapshot_save(vm, path, 0, &e)); /* only the set's own folder is made */
    save(vm, "first");
    save(vm, path);
    EXPECT_EQ(size_of("elsewhere") / 100, size_of("first") / 100); /* whole */
    load(vm, "elsewhere");
    doppel_destroy(vm);
    end();
}

static void to_text(void *ctx, const char *text, size_t len)
{
    strncat(ctx, text, len);
}

TEST(snapshot_commands)
{
    char text[2000] = "";
    start();
    struct doppel_vm *vm = machine();
    doppel_command(vm, "info snapshots", to_text, text);
    EXPECT(strstr(text, "no snapshots in snapshot-test"));
    doppel_run(vm, 1000);
    doppel_command(vm, "savevm one", to_text, text);
    doppel_run(vm, 2000);
    doppel_command(vm, "savevm two", to_text, text);
    text[0] = 0;
    doppel_command(vm, "info snapshots", to_text, text);
    EXPECT(strstr(text, "one: ") && strstr(text, " 1000 instructions\n"));
    EXPECT(strstr(text, "two: ") && strstr(text, " 2000 instructions, changes since one\n"));
    text[0] = 0;
    doppel_command(vm, "loadvm one", to_text, text);
    EXPECT_EQ(doppel_icount(vm), 1000);
    doppel_command(vm, "delvm two", to_text, text);
    EXPECT_STR(text, "");
    doppel_command(vm, "loadvm two", to_text, text);
    EXPECT_STR(text, "loadvm: two: No such file or directory\n");
    EXPECT_EQ(files(false), 1);
    doppel_destroy(vm);
    end();
}

/* --- What goes wrong --- */

static void spoil(const char *name, long at, const void *bytes, size_t n)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDWR);
    off_t off = at < 0 ? lseek(fd, at, SEEK_END) : at;
    EXPECT(fd >= 0 && pwrite(fd, bytes, n, off) == (ssize_t)n);
    close(fd);
}

TEST(snapshot_refused)
{
    char from[400], to[400];
    start();
    struct doppel_vm *vm = machine();
    doppel_run(vm, 5000);
    write_ram(vm, 3);
    save(vm, "a");
    doppel_run(vm, 9000);
    save(vm, "child");
    save(vm, "cut");
    snprintf(from, sizeof from, "%s/cut", folder);
    EXPECT_EQ(truncate(from, 4000), 0);
    refused(vm, "cut", "cut: cut short: 4000 of ");
    save(vm, "altered");
    spoil("altered", 100, "x", 1);
    refused(vm, "altered", "altered: damaged: a checksum is wrong");
    save(vm, "foreign");
    spoil("foreign", 0, "QFI\xfb", 4);
    refused(vm, "foreign", "foreign: not a saved machine of doppel's");
    save(vm, "newer");
    spoil("newer", 8, "\x63", 1);
    refused(vm, "newer", "newer: saved in format 99; this doppel reads format 2");
    snprintf(from, sizeof from, "%s/a", folder);
    snprintf(to, sizeof to, "%s/renamed", folder);
    EXPECT_EQ(rename(from, to), 0);
    refused(vm, "child", "holds what has changed since snapshot \"a\", which is not in");
    EXPECT_EQ(rename(to, from), 0);
    load(vm, "child");
    doppel_destroy(vm);
    struct doppel_options o;
    struct doppel_error e;
    doppel_options_init(&o, DOPPEL_ABI);
    o.snapshot_dir = folder;
    vm = doppel_create(&o, &e);
    refused(vm, "a", "saved with -m 8 -smp 2");
    doppel_destroy(vm);
    end();
}

/* Overwritten after it was loaded: the machine stops at the first page that cannot be had. */
TEST(snapshot_changed_under_a_machine)
{
    start();
    struct doppel_vm *vm = machine();
    uint8_t zeros[64] = {0};
    doppel_run(vm, 5000);
    write_ram(vm, 3);
    save(vm, "a");
    load(vm, "a");
    for (long at = 64; at < (long)size_of("a") - 64; at += 64) {
        spoil("a", at, zeros, sizeof zeros);
    }
    EXPECT_EQ(doppel_run(vm, 20000), DOPPEL_FAILED);
    EXPECT(strstr(doppel_failure(vm), "cannot be read from the snapshot any more: damaged"));
    doppel_destroy(vm);
    vm = machine();
    doppel_run(vm, 5000);
    save(vm, "a");
    load(vm, "a");
    char path[400];
    snprintf(path, sizeof path, "%s/a", folder);
    EXPECT_EQ(truncate(path, 0), 0);
    EXPECT_EQ(doppel_run(vm, 20000), DOPPEL_FAILED);
    doppel_destroy(vm);
    end();
}

TEST(snapshot_on_a_full_disk)
{
    struct rlimit was, small;
    struct doppel_error e = {"", false};
    start();
    struct doppel_vm *vm = machine();
    signal(SIGXFSZ, SIG_IGN);
    doppel_run(vm, 5000);
    write_ram(vm, 3);
    save(vm, "a");
    uint64_t a = doppel_digest(vm), size = size_of("a");
    doppel_run(vm, 9000);
    getrlimit(RLIMIT_FSIZE, &was);
    /* The new one is about as large: it does not fit into six sevenths of that. */
    for (uint64_t limit = 0; limit < size - size / 7; limit += size / 7) {
        small = was;
        small.rlim_cur = (rlim_t)limit;
        setrlimit(RLIMIT_FSIZE, &small);
        uint64_t before = doppel_digest(vm);
        EXPECT(!doppel_snapshot_save(vm, "a", 0, &e));
        EXPECT(strstr(e.msg, "a: File too large"));
        EXPECT_EQ(doppel_digest(vm), before);
        setrlimit(RLIMIT_FSIZE, &was);
        EXPECT_EQ(files(false), 1);
    }
    load(vm, "a");
    EXPECT_EQ(doppel_digest(vm), a);
    doppel_destroy(vm);
    end();
}

TEST(snapshot_by_short_reads_and_writes)
{
    start();
    struct doppel_vm *a = machine(), *b = machine();
    doppel_run(a, 5000);
    write_ram(a, 3);
    halves = true;
    save(a, "a");
    load(b, "a");
    EXPECT_EQ(doppel_digest(a), doppel_digest(b));
    halves = false;
    fail_read = EIO;
    refused(b, "a", "a: Input/output error");
    fail_read = 0;
    load(b, "a");
    fail_read = EIO; /* a disk that goes bad under a machine */
    EXPECT_EQ(doppel_run(b, 20000), DOPPEL_FAILED);
    EXPECT(strstr(doppel_failure(b), "from the snapshot any more: Input/output error"));
    fail_read = 0;
    load(b, "a"); /* and is well again */
    EXPECT_EQ(doppel_run(b, 20000), DOPPEL_LIMIT);
    doppel_run(a, 20000);
    EXPECT_EQ(doppel_digest(a), doppel_digest(b));
    doppel_destroy(a);
    doppel_destroy(b);
    end();
}

/* Killed at any moment of saving over one name: the file is a whole one, old or new. */
TEST(snapshot_killed_while_saving)
{
    struct t_rng rng = {t_seed()};
    start();
    struct doppel_vm *vm = machine();
    doppel_run(vm, 5000);
    save(vm, "a");
    doppel_destroy(vm);
    for (uint64_t i = t_amount(6, 30, 1000); i; i--) {
        int fds[2];
        EXPECT_EQ(pipe(fds), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct doppel_error e;
            vm = machine();
            doppel_snapshot_load(vm, "a", &e);
            for (uint8_t k = 0;; k++) {
                write_ram(vm, k);
                doppel_run(vm, doppel_icount(vm) + 1000);
                doppel_snapshot_save(vm, k & 1 ? "a" : "b", 0, &e);
                (void)!write(fds[1], "x", 1);
            }
        }
        char x;
        EXPECT_EQ(read(fds[0], &x, 1), 1);
        usleep((useconds_t)t_rand_below(&rng, 30000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        close(fds[0]);
        close(fds[1]);
        vm = machine();
        load(vm, "a");
        load(vm, "b");
        EXPECT_EQ(doppel_run(vm, doppel_icount(vm) + 1000), DOPPEL_LIMIT);
        doppel_destroy(vm);
    }
    end();
}
