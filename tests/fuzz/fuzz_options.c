/*
 * Option text as a careless or malicious hand would write it, for the parsers of -drive, -nic,
 * -netdev, -device, -boot, -fw_cfg and -bios through doppel_create, and for every option of the
 * command line through the parser and the paths of INI files. Each either works, or is refused with
 * one line that says why.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doppel.h"
#include "frontends/options_priv.h"
#include "tests/t.h"
#include "util/bits.h"

#define MAX 12000u

static const char *const drives[] = {
    "file=a.img,if=ide,index=1,media=disk,format=raw,snapshot=on,readonly=off,id=x",
    "if=floppy,unit=1,file=fd.img",
    "file=a.img,bus=1,unit=1",
    "media=cdrom,file=a.img",
    "if=none,id=d,file=b,,c.img,read-only=on",
    "file=q.img,format=qcow2",
};
static const char *const nics[] = {
    "user,model=ne2k_pci,mac=52:54:00:12:34:56,hostname=g,restrict=on",
    "user,net=10.0.2.0/24,host=10.0.2.2,dhcpstart=10.0.2.15,dns=10.0.2.3",
    "user,tftp=dir,bootfile=x",
    "none",
};
static const char *const netdevs[] = {"user,id=n0,hostname=g,restrict=on", "user,id=n1,tftp=x"};
static const char *const devices[] = {
    "isa-debug-exit,iobase=0xf4,iosize=4", "ne2k_pci,netdev=n0", "pci-testdev",
    "i8259,iobase=0x100,master=on",        "pc-testdev",         "piix3-ide,drive0=d",
};
static const char *const boots[] = {
    "dca", "order=dca,once=d,menu=on,splash-time=100,reboot-timeout=5", "menu=off"};
static const char *const fw_cfgs[] = {"name=opt/x,string=text", "name=opt/y,file=a.img"};

static const struct {
    const char *const *seed;
    unsigned n;
} lists[] = {
    {drives, ARRAY_LEN(drives)},   {nics, ARRAY_LEN(nics)},   {netdevs, ARRAY_LEN(netdevs)},
    {devices, ARRAY_LEN(devices)}, {boots, ARRAY_LEN(boots)}, {fw_cfgs, ARRAY_LEN(fw_cfgs)},
};
enum { DRIVES, NICS, NETDEVS, DEVICES, BOOTS, FW_CFGS };

/* --- Text gone wrong --- */

static const char *bad_word(struct t_rng *rng)
{
    static const char *const words[] = {
        "",      ",",    ",,",     "=",  "==",  "-1", "0x", "off",
        "on",    "help", "%s%n",   "\n", "\r",  "\t", " ",  "\xc3\xa9",
        "..",    "/",    "0",      "1",  "256", "\"", ":",  "99999999999999999999",
        "file=", "id=x", "if=none"};
    static char large[9001];
    if (t_rand_below(rng, 40) == 0) {
        memset(large, "a,=1"[t_rand_below(rng, 4)], 9000);
        return large;
    }
    return words[t_rand_below(rng, ARRAY_LEN(words))];
}

/* Put `word` in place of `cut` bytes at `at`. */
static void splice(char *s, size_t at, size_t cut, const char *word)
{
    char tail[MAX];
    size_t len = strlen(s), n = strlen(word);
    at = at < len ? at : len;
    cut = cut < len - at ? cut : len - at;
    if (len - cut + n >= MAX) {
        return;
    }
    strcpy(tail, s + at + cut);
    memcpy(s + at, word, n);
    strcpy(s + at + n, tail);
}

static void spoil(struct t_rng *rng, char *s)
{
    char byte[2] = {(char)(1 + t_rand_below(rng, 255)), 0};
    size_t len = strlen(s), at = t_rand_below(rng, len + 1);
    size_t eq = at + strcspn(s + at, "=");
    switch (t_rand_below(rng, 6)) {
    case 0: /* a byte */
        splice(s, at, 1, byte);
        break;
    case 1: /* something lost */
        splice(s, at, 1 + t_rand_below(rng, 8), "");
        break;
    case 2: /* a value */
        eq += s[eq] == '=';
        splice(s, eq, strcspn(s + eq, ","), bad_word(rng));
        break;
    case 3: /* something more */
        splice(s, at, 0, bad_word(rng));
        break;
    case 4: { /* an item of another option's */
        unsigned l = (unsigned)t_rand_below(rng, ARRAY_LEN(lists));
        const char *other = lists[l].seed[t_rand_below(rng, lists[l].n)];
        splice(s, len, 0, ",");
        splice(s, len + 1, 0, other + t_rand_below(rng, strlen(other)));
        break;
    }
    default: /* the end */
        s[at] = 0;
        break;
    }
}

/* One of a list, as it is or spoilt. */
static const char *choose(struct t_rng *rng, unsigned list, char *out)
{
    strcpy(out, lists[list].seed[t_rand_below(rng, lists[list].n)]);
    if (t_rand_below(rng, 3)) {
        for (uint64_t k = t_rand_below(rng, 3) + 1; k; k--) {
            spoil(rng, out);
        }
    }
    return out;
}

static void expect_one_line(const char *msg)
{
    EXPECT(msg[0] != 0);
    for (; *msg; msg++) {
        if ((unsigned char)*msg < ' ') {
            FAIL("a message with the byte %#x", *msg);
            return;
        }
    }
}

/* --- Machines --- */

static void make_file(const char *name, size_t len)
{
    FILE *f = fopen(name, "wb");
    EXPECT(f && ftruncate(fileno(f), (off_t)len) == 0 && fclose(f) == 0);
}

static void enter(char *dir)
{
    strcpy(dir, "/tmp/doppel-options-XXXXXX");
    EXPECT(mkdtemp(dir) && chdir(dir) == 0);
    make_file("a.img", 1 << 20);
    make_file("b,c.img", 512);
    make_file("fd.img", 1440 << 10);
    FILE *f = fopen("q.img", "wb");
    EXPECT(f && fputs("QFI\xfb", f) >= 0 && fclose(f) == 0);
}

static void leave(const char *dir)
{
    char command[100];
    EXPECT_EQ(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    EXPECT_EQ(system(command), 0);
}

TEST(machines)
{
    static char text[6][MAX];
    struct t_rng rng = {t_seed()};
    unsigned n = (unsigned)t_amount(300, 3000, 100000), made = 0;
    char dir[64];
    enter(dir);
    for (unsigned i = 0; i < n; i++) {
        struct doppel_options o;
        struct doppel_error e = {"", false};
        doppel_options_init(&o, DOPPEL_ABI);
        o.ram_bytes = 1u << 20;
        o.rtc_epoch = 1700000000;
        o.seed = i;
        o.vga = "none";
        unsigned list = (unsigned)t_rand_below(&rng, ARRAY_LEN(lists));
        for (unsigned k = 0; k < ARRAY_LEN(lists); k++) {
            /* What a device names is there now and then. */
            if (k != list && t_rand_below(&rng, 4)) {
                continue;
            }
            const char *s = choose(&rng, k, text[k]);
            t_context("seed %llu, case %u: %.300s", (unsigned long long)t_seed(), i, s);
            switch (k) {
            case DRIVES:
                o.drive[o.ndrives++] = s;
                break;
            case NICS:
                o.nic[o.nnics++] = s;
                break;
            case NETDEVS:
                o.netdev[o.nnetdevs++] = s;
                break;
            case DEVICES:
                o.device[o.ndevices++] = s;
                break;
            case BOOTS:
                o.boot = s;
                break;
            default:
                o.fw_cfg[o.nfw_cfg++] = s;
                break;
            }
        }
        struct doppel_vm *vm = doppel_create(&o, &e);
        if (vm) {
            made++;
            doppel_run(vm, 2000);
            doppel_destroy(vm);
        } else {
            expect_one_line(e.msg);
        }
    }
    EXPECT(made > n / 20 && made < n);
    leave(dir);
}

/* --- The command line's own parser --- */

static char *quote(void *ctx, const char *path, size_t len)
{
    (void)ctx;
    char *out = malloc(len + 3);
    sprintf(out, "d/%.*s", (int)len, path);
    return out;
}

TEST(command_line)
{
    static char text[MAX];
    struct t_rng rng = {t_seed()};
    unsigned n = (unsigned)t_amount(3000, 30000, 1000000);
    for (unsigned i = 0; i < n; i++) {
        static const char *const more[] = {"256M",
                                           "2",
                                           "pc",
                                           "stdio",
                                           "unix:x,server,nowait",
                                           "base=2024-02-29T12:00:00",
                                           "sdl,scale=fit",
                                           "x@5",
                                           "file:x",
                                           "a b,c d",
                                           "user,id=x,tftp=y,,z"};
        const struct option *opt = &options_table[t_rand_below(&rng, options_count)];
        struct options o;
        struct err e = {""};
        if (t_rand_below(&rng, 2)) {
            strcpy(text, more[t_rand_below(&rng, ARRAY_LEN(more))]);
            spoil(&rng, text);
        } else {
            choose(&rng, (unsigned)t_rand_below(&rng, ARRAY_LEN(lists)), text);
        }
        t_context("seed %llu, case %u: -%s %.300s", (unsigned long long)t_seed(), i, opt->name,
                  text);
        options_init(&o);
        char *mapped = options_map_paths(opt->name, text, quote, NULL);
        EXPECT(mapped && strlen(mapped) <= 4 * strlen(text) + 8);
        if (!options_set(&o, opt->name, text, &e)) {
            expect_one_line(e.msg);
        }
        free(mapped);
        options_free(&o);
    }
}
