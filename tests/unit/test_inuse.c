/* A log or a snapshot is not written over a file that the machine uses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doppel.h"
#include "tests/lib/kernel.h"
#include "tests/t.h"

static const uint8_t endless[] = {0xeb, 0xfe};

/* Starts a recording to it, saves the flight recorder to it: both refused, and it stays. */
static void refused(struct doppel_vm *vm, const char *path, const char *why)
{
    struct doppel_error e;
    struct stat before, after;
    EXPECT(stat(path, &before) == 0);
    e.msg[0] = 0;
    EXPECT(!doppel_record_start(vm, path, &e));
    EXPECT(strstr(e.msg, why) != NULL);
    e.msg[0] = 0;
    EXPECT(!doppel_flight_save(vm, path, &e));
    EXPECT(strstr(e.msg, why) != NULL);
    EXPECT(stat(path, &after) == 0);
    EXPECT_EQ(after.st_size, before.st_size);
    EXPECT_EQ(after.st_ino, before.st_ino);
}

static void make_file(const char *path)
{
    FILE *f = fopen(path, "wb");
    EXPECT(f && ftruncate(fileno(f), 1 << 20) == 0 && fclose(f) == 0);
}

TEST(files_in_use_are_not_written_over)
{
    char dir[] = "/tmp/doppel-inuse-XXXXXX", image[64], above[64], saved[64], log[64], port[80];
    char drive[100], link_name[64];
    struct doppel_options o;
    struct doppel_error e = {"", false};
    EXPECT(mkdtemp(dir) != NULL);
    snprintf(image, sizeof image, "%s/image", dir);
    snprintf(above, sizeof above, "%s/above", dir);
    snprintf(saved, sizeof saved, "%s/saved", dir);
    snprintf(log, sizeof log, "%s/log", dir);
    snprintf(port, sizeof port, "file:%s/port", dir);
    snprintf(link_name, sizeof link_name, "%s/link", dir);
    snprintf(drive, sizeof drive, "file=%s,format=qcow2", above);
    make_file(image);
    EXPECT(symlink("image", link_name) == 0);
    EXPECT(doppel_image_create(
        above, &(struct doppel_image_new){.format = "qcow2", .backing = "image"}, &e));
    char *kernel = kernel_make(NULL, endless, sizeof endless);
    doppel_options_init(&o, DOPPEL_ABI);
    o.rtc_epoch = 1700000000;
    o.seed = 1;
    o.ram_bytes = 2 << 20;
    o.kernel = kernel;
    o.drive[o.ndrives++] = drive;
    o.serial[0] = port;
    o.log_file = "/dev/null";
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        FAIL("%s", e.msg);
        return;
    }
    EXPECT(doppel_flight_start(vm, "60s", &e));
    EXPECT_EQ(doppel_run(vm, 1000), DOPPEL_LIMIT);
    refused(vm, above, "it is in use as an image");
    refused(vm, image, "it is in use as an image"); /* behind the other one */
    refused(vm, link_name, "it is in use as an image");
    refused(vm, kernel, "the machine was made from it");
    refused(vm, port + 5, "the machine writes to it");
    EXPECT(!doppel_save_file(vm, image, &e));
    EXPECT(strstr(e.msg, "it is in use as an image") != NULL);
    EXPECT(doppel_save_file(vm, saved, &e));
    EXPECT(doppel_save_file(vm, saved, &e)); /* a newer one may have its place */
    refused(vm, saved, "a saved machine");
    EXPECT(doppel_record_start(vm, log, &e));
    EXPECT(!doppel_flight_save(vm, log, &e));
    EXPECT(strstr(e.msg, "being recorded to it") != NULL);
    EXPECT(!doppel_save_file(vm, log, &e));
    doppel_record_stop(vm);
    EXPECT(doppel_flight_save(vm, log, &e)); /* nobody needs it any more */
    EXPECT(doppel_record_start(vm, log, &e));
    EXPECT(doppel_record_start(vm, "/dev/null", &e) == false);
    doppel_destroy(vm);
    const char *all[] = {image, above, saved, log, port + 5, link_name, kernel};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        EXPECT(unlink(all[i]) == 0);
    }
    free(kernel);
    char *undo = NULL;
    EXPECT(asprintf(&undo, "rm -rf %s", dir) > 0 && system(undo) == 0);
    free(undo);
}
