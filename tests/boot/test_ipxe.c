/*
 * iPXE over the user network: Debian's CD image finds the card by its own driver and gets an
 * address by DHCP; and the card's expansion ROM, started by SeaBIOS for -boot n, fetches a script
 * by TFTP and runs it. Seen on the screen. The run is recorded and repeated without a network
 * (replay.h), saved midway and finished by a third machine.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "tests/boot/dos.h"
#include "tests/boot/replay.h"
#include "tests/t.h"

#if HAVE_SLIRP

#define CHUNK UINT64_C(20000000)
#define LIMIT UINT64_C(20000000000)

struct setup {
    const char *cd, *boot, *nic;
};

static struct doppel_vm *start(const struct setup *s)
{
    struct doppel_options o;
    struct doppel_error e;
    char drive[256];
    doppel_options_init(&o, DOPPEL_ABI);
    o.rtc_epoch = 1700000000;
    o.seed = 1;
    o.ram_bytes = UINT64_C(64) << 20;
    o.boot = s->boot;
    o.nic[o.nnics++] = s->nic;
    if (s->cd) {
        snprintf(drive, sizeof drive, "file=%s,format=raw,media=cdrom", s->cd);
        o.drive[o.ndrives++] = drive;
    }
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        FAIL("%s", e.msg);
    }
    return vm;
}

/* Until the screen shows `text`; the count, or 0 after a report. */
static uint64_t run_to(struct doppel_vm *vm, const char *text)
{
    for (uint64_t at = CHUNK; at <= LIMIT; at += CHUNK) {
        enum doppel_stop stop = doppel_run(vm, at);
        char *screen = doppel_screen_text(vm);
        bool there = screen && strstr(screen, text);
        if (stop != DOPPEL_LIMIT || at == LIMIT) {
            FAIL("no \"%s\"; the screen:\n%s", text, screen ? screen : "(graphics)");
        }
        free(screen);
        if (there) {
            return at;
        }
        if (stop != DOPPEL_LIMIT) {
            break;
        }
    }
    return 0;
}

static void boots(const struct setup *s, const char *text)
{
    struct recording packets = {.n = 0};
    struct doppel_vm *a = start(s);
    if (!a) {
        return;
    }
    packets_keep(&packets, a);
    uint64_t count = run_to(a, text);
    packets_stop(&packets);
    printf("  %" PRIu64 " million instructions, %u packets, digest %016" PRIx64 "\n",
           count / 1000000, packets.n, doppel_digest(a));
    struct doppel_vm *b = count ? start(s) : NULL, *c = b ? start(s) : NULL;
    if (c) {
        static struct replay first, rest;
        struct doppel_error e = {"", false};
        uint8_t *data;
        size_t len;
        packets_replay(&first, b, &packets);
        EXPECT_EQ(doppel_run(b, count / 2), DOPPEL_LIMIT);
        doppel_save(b, &data, &len);
        EXPECT(doppel_load(c, data, len, &e));
        EXPECT_STR(e.msg, "");
        free(data);
        packets_go_on(&rest, c, &first);
        EXPECT_EQ(doppel_run(c, count), DOPPEL_LIMIT);
        EXPECT_EQ(doppel_digest(c), doppel_digest(a));
        doppel_destroy(c);
    }
    doppel_destroy(b);
    doppel_destroy(a);
    packets_free(&packets);
}

static bool possible(const char *file)
{
    return dos_possible() && dos_need(file, "ipxe and ipxe-qemu");
}

TEST(ipxe_cd_gets_an_address)
{
    static const struct setup s = {
        .cd = "/usr/lib/ipxe/ipxe.iso", .boot = "order=d", .nic = "user"};
    if (possible(s.cd)) {
        boots(&s, "net0: 10.0.2.15/255.255.255.0 gw 10.0.2.2");
    }
}

/* More under make check-long. */
TEST(ipxe_rom_boots_by_tftp)
{
    static const char *const cards[] = {"e1000", "ne2k_pci"};
    char nic[4600], path[4096];
    if (!possible("/usr/lib/ipxe/qemu/efi-e1000.rom")) {
        return;
    }
    snprintf(path, sizeof path, "%s", t_build_path("tests/boot/tftp"));
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s", t_build_path("tests/boot/tftp/hello.ipxe"));
    FILE *f = fopen(path, "w");
    if (!EXPECT(f)) {
        return;
    }
    fputs("#!ipxe\necho doppel by tftp\n", f);
    fclose(f);
    for (unsigned i = 0; i < t_amount(0, 0, 2); i++) {
        struct setup s = {.boot = "order=n", .nic = nic};
        snprintf(nic, sizeof nic, "user,model=%s,tftp=%s,bootfile=hello.ipxe", cards[i],
                 t_build_path("tests/boot/tftp"));
        boots(&s, "\ndoppel by tftp");
    }
}

#else

TEST(ipxe_wants_a_network)
{
    SKIP("doppel was built without libslirp");
}

#endif
