/*
 * iPXE over the user network: Debian's CD image finds the card by its own driver and gets an
 * address by DHCP; and the card's expansion ROM, started by SeaBIOS for -boot n, fetches a script
 * by TFTP and runs it. Seen on the screen. The run is recorded, from power-on and once more from
 * the middle, and both recordings are replayed without a network.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "tests/boot/dos.h"
#include "tests/boot/record.h"
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
    for (uint64_t at = doppel_icount(vm) + CHUNK; at <= LIMIT; at += CHUNK) {
        enum doppel_stop stop = doppel_run(vm, at);
        char *screen = doppel_screen_text(vm);
        bool there = screen && strstr(screen, text);
        if (stop != DOPPEL_LIMIT || at + CHUNK > LIMIT) {
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

/* Recorded from `from` on; how many instructions the run has, 0 after a report. */
static uint64_t boots_from(const struct setup *s, const char *text, uint64_t from)
{
    struct boot_record log;
    struct doppel_vm *vm = start(s);
    if (!vm || !EXPECT_EQ(doppel_run(vm, from), DOPPEL_LIMIT)) {
        return 0;
    }
    boot_record_start(&log, vm, true);
    uint64_t count = run_to(vm, text);
    if (count) {
        boot_record_finish(&log, &vm, "jit");
        EXPECT(log.inputs > 1);
        printf("  %" PRIu64 " million instructions, %" PRIu64 " inputs\n", count / 1000000,
               log.inputs);
    }
    doppel_destroy(vm);
    unlink(log.path);
    return count;
}

static void boots(const struct setup *s, const char *text)
{
    uint64_t count = boots_from(s, text, 0);
    if (count) {
        boots_from(s, text, count / 2);
    }
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
