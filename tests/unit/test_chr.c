/*
 * Character back ends through a machine: Unix sockets as serial port and monitor, files, and peers
 * that misbehave. The demo is the guest.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "doppel.h"
#include "tests/t.h"

static struct doppel_vm *create(const char *serial, const char *monitor, struct doppel_error *e)
{
    struct doppel_options o;
    doppel_options_init(&o, DOPPEL_ABI);
    o.rtc_epoch = 0;
    o.seed = 1;
    o.ram_bytes = 4u << 20;
    o.serial[0] = serial;
    o.monitor = monitor;
    return doppel_create(&o, e);
}

/* A path of our own, and "unix:PATH" + options. */
static char path[64], spec[128];

static void make_spec(const char *options)
{
    snprintf(path, sizeof path, "/tmp/doppel-chr-%d.sock", (int)getpid());
    snprintf(spec, sizeof spec, "unix:%s%s", path, options);
}

static int dial(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, path, sizeof path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Everything that arrives until the other side closes. */
static size_t drain(int fd, char *text, size_t size)
{
    size_t len = 0;
    ssize_t n;
    while (len + 1 < size && (n = read(fd, text + len, size - 1 - len)) > 0) {
        len += (size_t)n;
    }
    text[len] = 0;
    return len;
}

TEST(serial_on_a_socket)
{
    static char text[65536];
    struct doppel_error e;
    make_spec(",server,nowait");
    struct doppel_vm *vm = create(spec, NULL, &e);
    if (!EXPECT(vm != NULL)) {
        return;
    }
    int fd = dial();
    EXPECT(fd >= 0);
    doppel_run(vm, DOPPEL_NO_LIMIT);
    doppel_destroy(vm);
    drain(fd, text, sizeof text);
    close(fd);
    EXPECT(strstr(text, "This build works") != NULL);
    EXPECT(access(path, F_OK) != 0); /* the socket is gone with the machine */
}

TEST(serial_without_a_client)
{
    struct doppel_error e;
    make_spec(",server=on,wait=off");
    struct doppel_vm *vm = create(spec, NULL, &e);
    if (EXPECT(vm != NULL)) {
        EXPECT_EQ(doppel_run(vm, DOPPEL_NO_LIMIT), DOPPEL_DEAD);
        doppel_destroy(vm);
    }
}

/* The client goes away in the middle; another one comes. */
TEST(clients_come_and_go)
{
    struct doppel_error e;
    make_spec(",server,nowait");
    struct doppel_vm *vm = create(spec, NULL, &e);
    if (!EXPECT(vm != NULL)) {
        return;
    }
    int a = dial();
    doppel_run(vm, 5000);
    close(a);
    doppel_run(vm, 400000);
    int b = dial();
    EXPECT(b >= 0);
    doppel_run(vm, DOPPEL_NO_LIMIT);
    doppel_destroy(vm);
    close(b);
}

TEST(monitor_on_a_socket)
{
    static char text[65536];
    static const char commands[] = "info cpus\ninfo nothing\nquit\n";
    struct doppel_error e;
    make_spec(",server,nowait");
    struct doppel_vm *vm = create(NULL, spec, &e);
    if (!EXPECT(vm != NULL)) {
        return;
    }
    int fd = dial();
    EXPECT_EQ(write(fd, commands, sizeof commands - 1), (ssize_t)sizeof commands - 1);
    EXPECT_EQ(doppel_run(vm, DOPPEL_NO_LIMIT), DOPPEL_QUIT);
    doppel_destroy(vm);
    drain(fd, text, sizeof text);
    close(fd);
    EXPECT(strstr(text, "CPU#0: running") != NULL);
    EXPECT(strstr(text, "no \"nothing\"") != NULL);
}

TEST(socket_client)
{
    static char text[65536];
    struct doppel_error e;
    make_spec("");
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, path, sizeof path);
    int l = socket(AF_UNIX, SOCK_STREAM, 0);
    unlink(path);
    EXPECT(bind(l, (struct sockaddr *)&a, sizeof a) == 0 && listen(l, 1) == 0);
    struct doppel_vm *vm = create(spec, NULL, &e);
    if (EXPECT(vm != NULL)) {
        int fd = accept(l, NULL, NULL);
        doppel_run(vm, DOPPEL_NO_LIMIT);
        doppel_destroy(vm);
        drain(fd, text, sizeof text);
        close(fd);
        EXPECT(strstr(text, "This build works") != NULL);
    }
    close(l);
    unlink(path);
}

/* A file in the socket's place is not ours to remove. */
TEST(socket_path_is_a_file)
{
    struct doppel_error e;
    make_spec(",server,nowait");
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    EXPECT(create(spec, NULL, &e) == NULL);
    EXPECT(strstr(e.msg, "in use") != NULL);
    struct stat st;
    EXPECT(stat(path, &st) == 0 && S_ISREG(st.st_mode));
    unlink(path);
}

TEST(full_device)
{
    struct doppel_error e;
    struct doppel_vm *vm = create("file:/dev/full", NULL, &e);
    if (EXPECT(vm != NULL)) {
        EXPECT_EQ(doppel_run(vm, DOPPEL_NO_LIMIT), DOPPEL_DEAD);
        doppel_destroy(vm);
    }
}
