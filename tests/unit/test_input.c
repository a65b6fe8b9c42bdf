/*
 * Keys and mouse by monitor commands and by the API: what reaches the keyboard controller, and at
 * which instants. The guest spins, so that time passes; the instants are those of virtual time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/kernel.h"
#include "tests/t.h"
#include "vm/keys.h"
#include "vm/vm.h"

#define MS 1000000u

/* --- A machine that spins, with its controller's inputs watched --- */

struct event {
    vtime when;
    uint8_t data[6];
};

static struct {
    struct event key[512], mouse[16];
    unsigned nkeys, nmice;
    struct clock *clock;
} heard;

static void hear_keys(void *ctx, const uint8_t *p, uint32_t len)
{
    (void)ctx;
    for (uint32_t i = 0; i + 2 <= len && heard.nkeys < 512; i += 2) {
        heard.key[heard.nkeys++] = (struct event){clock_now(heard.clock), {p[i], p[i + 1]}};
    }
}

static void hear_mouse(void *ctx, const uint8_t *p, uint32_t len)
{
    (void)ctx;
    if (EXPECT_EQ(len, 6) && heard.nmice < 16) {
        struct event *ev = &heard.mouse[heard.nmice++];
        ev->when = clock_now(heard.clock);
        memcpy(ev->data, p, 6);
    }
}

/* watch: the inputs go to `heard`, not to the controller. */
static struct doppel_vm *create(bool watch)
{
    static const uint8_t spin[] = {0xeb, 0xfe};
    struct doppel_options o;
    char *path = kernel_make(NULL, spin, sizeof spin);
    doppel_options_init(&o, DOPPEL_ABI);
    o.rtc_epoch = 0;
    o.seed = 1;
    o.ram_bytes = 4u << 20;
    o.kernel = path;
    struct doppel_vm *vm = doppel_create(&o, NULL);
    unlink(path);
    free(path);
    if (EXPECT(vm != NULL) && watch) {
        memset(&heard, 0, sizeof heard);
        heard.clock = &vm->clock;
        vm->gate.sources[vm->key_source].deliver = hear_keys;
        vm->gate.sources[vm->mouse_source].deliver = hear_mouse;
    }
    return vm;
}

static void run_ms(struct doppel_vm *vm, unsigned ms)
{
    EXPECT_EQ(doppel_run(vm, doppel_icount(vm) + (uint64_t)ms * MS), DOPPEL_LIMIT);
}

static char said[16384];

static void say(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    size_t room = sizeof said - 1 - strlen(said);
    strncat(said, text, len < room ? len : room);
}

static const char *command(struct doppel_vm *vm, const char *line)
{
    said[0] = 0;
    doppel_command(vm, line, say, NULL);
    return said;
}

static void expect_key(unsigned i, uint64_t ns, uint8_t code, bool down)
{
    t_context("event %u", i);
    if (EXPECT(i < heard.nkeys)) {
        EXPECT_EQ(heard.key[i].when, ns);
        EXPECT_EQ(heard.key[i].data[0], code);
        EXPECT_EQ(heard.key[i].data[1], down);
    }
}

/* --- Keys --- */

TEST(sendkey_holds_a_chord_for_virtual_time)
{
    struct doppel_vm *vm = create(true);
    run_ms(vm, 20);
    EXPECT_STR(command(vm, "sendkey ctrl-alt-delete 7"), "");
    run_ms(vm, 10);
    EXPECT_EQ(heard.nkeys, 6);
    expect_key(0, 20 * MS, 0x1d, true);
    expect_key(1, 20 * MS, 0x38, true);
    expect_key(2, 20 * MS, 0xd3, true);
    expect_key(3, 27 * MS, 0xd3, false);
    expect_key(4, 27 * MS, 0x38, false);
    expect_key(5, 27 * MS, 0x1d, false);
    doppel_destroy(vm);
}

TEST(sendkey_waits_for_the_one_before)
{
    struct doppel_vm *vm = create(true);
    run_ms(vm, 20);
    command(vm, "sendkey a 5");
    command(vm, "sendkey 0x9c");
    run_ms(vm, 120);
    EXPECT_EQ(heard.nkeys, 4);
    expect_key(1, 25 * MS, 0x1e, false);
    expect_key(2, 35 * MS, 0x9c, true);
    expect_key(3, 135 * MS, 0x9c, false); /* 100 ms unless told */
    doppel_destroy(vm);
}

TEST(sendtext_types_a_line)
{
    static const struct {
        uint8_t code;
        bool down;
    } want[] = {
        {0x20, true}, {0x20, false}, {0x2a, true}, {0x17, true},  {0x17, false}, {0x2a, false},
        {0x39, true}, {0x39, false}, {0x2a, true}, {0x09, true},  {0x09, false}, {0x2a, false},
        {0x2b, true}, {0x2b, false}, {0x1c, true}, {0x1c, false},
    };
    struct doppel_vm *vm = create(true);
    run_ms(vm, 20);
    EXPECT_STR(command(vm, "sendtext dI *\\\\\\n"), "");
    run_ms(vm, 200);
    EXPECT_EQ(heard.nkeys, ARRAY_LEN(want));
    for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
        expect_key(i, (20 + 10 * i) * MS, want[i].code, want[i].down);
    }
    EXPECT_STR(command(vm, "sendtext \xc3"), "sendtext: no key types the byte 0xc3\n");
    doppel_destroy(vm);
}

TEST(typist_does_not_overflow)
{
    struct doppel_vm *vm = create(true);
    char line[256] = "sendtext ";
    memset(line + 9, 'x', 200);
    run_ms(vm, 20);
    EXPECT_STR(command(vm, line), "");
    EXPECT_STR(command(vm, line), "");
    EXPECT_STR(command(vm, "sendkey a"), "");
    EXPECT_STR(command(vm, line), "still typing: no room for so many keys yet\n");
    run_ms(vm, 1);
    EXPECT_STR(command(vm, line), "still typing: no room for so many keys yet\n");
    EXPECT_EQ(vm->s.typist[0].count, 801);
    /* What comes in past the monitor is cut, not written over. */
    static const uint8_t many[4000];
    doppel_post_input(vm, "typist", many, sizeof many);
    run_ms(vm, 1);
    EXPECT_EQ(vm->s.typist[0].count, TYPIST_MAX);
    vm->s.typist[0].count = vm->s.typist[0].head = UINT32_MAX; /* a hostile snapshot */
    run_ms(vm, 30);
    doppel_destroy(vm);
}

TEST(bad_keys)
{
    struct doppel_vm *vm = create(true);
    run_ms(vm, 1);
    EXPECT_STR(command(vm, "sendkey ctrl-deleet"),
               "sendkey: no key \"deleet\"; the nearest is \"delete\"\n");
    EXPECT(strstr(command(vm, "sendkey a 1x"), "want milliseconds"));
    EXPECT(strstr(command(vm, "sendkey a 60001"), "at most 60000"));
    EXPECT(strstr(command(vm, "sendkey a-"), "no key \"\""));
    EXPECT(strstr(command(vm, "sendkey 0x80"), "no key"));
    EXPECT(strstr(command(vm, "sendkey 0x1e0"), "no key"));
    EXPECT(strstr(command(vm, "sendkey a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a"), "more than 16"));
    EXPECT(strstr(command(vm, "sendkey"), "for example"));
    EXPECT(strstr(command(vm, "sendtext"), "want text"));
    run_ms(vm, 20);
    EXPECT_EQ(heard.nkeys, 0);
    EXPECT(!doppel_key_event(vm, 0x80, true));
    EXPECT(!doppel_key_event(vm, 0x11e, true));
    doppel_destroy(vm);
}

/* Saved with a key down: the release comes at its instant in both. */
TEST(hold_survives_save_and_load)
{
    struct doppel_vm *a = create(false), *b = create(false);
    uint8_t *data;
    size_t len;
    struct doppel_error e = {""};
    run_ms(a, 12);
    command(a, "sendkey shift-a 6");
    run_ms(a, 3);
    doppel_save(a, &data, &len);
    EXPECT_EQ(a->s.typist[0].count, 2);
    if (!EXPECT(doppel_load(b, data, len, &e))) {
        FAIL("%s", e.msg);
    }
    free(data);
    EXPECT_EQ(b->s.typist[0].count, 2);
    uint64_t held = doppel_digest(b);
    run_ms(a, 9);
    run_ms(b, 9);
    EXPECT_EQ(b->s.typist[0].count, 0);
    EXPECT_EQ(b->s.typist[0].last, 18 * MS);
    EXPECT_EQ(doppel_digest(a), doppel_digest(b));
    EXPECT(doppel_digest(a) != held);
    doppel_destroy(a);
    doppel_destroy(b);
}

/* Through the real controller: the scan code is in its buffer, translated to set 1. */
TEST(key_reaches_the_controller)
{
    struct doppel_vm *vm = create(false);
    run_ms(vm, 1);
    EXPECT(doppel_key_event(vm, doppel_key_code("kp_enter"), true));
    run_ms(vm, 1);
    EXPECT_EQ(aspace_read(&vm->io, 0x64, 1) & 1, 1);
    EXPECT_EQ(aspace_read(&vm->io, 0x60, 1), 0xe0);
    run_ms(vm, 1);
    EXPECT_EQ(aspace_read(&vm->io, 0x60, 1), 0x1c);
    doppel_destroy(vm);
}

/* --- Mouse --- */

TEST(mouse_commands)
{
    static const uint8_t want[][6] = {
        {5, 0, 0xfe, 0xff, 0, 0}, {0, 0, 0, 0, 0, 5}, {1, 0, 2, 0, 0xfd, 5},
        {0, 0x80, 0, 0, 0, 5},    {0, 0, 0, 0, 0, 0},
    };
    struct doppel_vm *vm = create(true);
    run_ms(vm, 1);
    EXPECT_STR(command(vm, "mouse_move 5 -2"), "");
    EXPECT_STR(command(vm, "mouse_button 5"), "");
    EXPECT_STR(command(vm, "mouse_move 1 2 3"), ""); /* the buttons stay held; wheel up */
    EXPECT_STR(command(vm, "mouse_move -99999 0"), "");
    EXPECT_STR(command(vm, "mouse_button 0"), "");
    run_ms(vm, 1);
    EXPECT_EQ(heard.nmice, ARRAY_LEN(want));
    for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
        t_context("event %u", i);
        EXPECT_MEM(heard.mouse[i].data, want[i], 6);
    }
    EXPECT(strstr(command(vm, "mouse_move 5"), "want DX DY"));
    EXPECT(strstr(command(vm, "mouse_move 5 x"), "want DX DY"));
    EXPECT(strstr(command(vm, "mouse_move 1 2 3 4"), "want DX DY"));
    EXPECT(strstr(command(vm, "mouse_button 32"), "want the sum"));
    doppel_destroy(vm);
}

/* --- The table --- */

TEST(key_table_is_consistent)
{
    for (unsigned i = 0; key_at(i); i++) {
        const struct key *k = key_at(i);
        t_context("%s", k->name);
        EXPECT(k->code & 0x7f);
        EXPECT_EQ(doppel_key_code(k->name), k->code);
        for (unsigned j = 0; j < i; j++) {
            EXPECT(strcmp(key_at(j)->name, k->name) != 0);
            EXPECT(!k->plain || (key_at(j)->plain != k->plain && key_at(j)->shifted != k->plain));
        }
    }
    for (char c = ' '; c < 0x7f; c++) {
        uint8_t code;
        bool shift;
        t_context("'%c'", c);
        EXPECT(key_of_char(c, &code, &shift));
    }
    EXPECT_EQ(doppel_key_code("no such key"), 0);
    EXPECT_EQ(doppel_key_code("a_name_that_is_far_too_long_for_any_key"), 0);
}

TEST(device_table)
{
    struct doppel_vm *vm = create(false);
    EXPECT(strstr(command(vm, "device_table kbc"), "kbd[0].scanning"));
    EXPECT(strstr(command(vm, "device_table"), "keyboard controller"));
    EXPECT_STR(command(vm, "device_table kbd"),
               "device_table: no device \"kbd\"; the nearest is \"kbc\"\n");
    doppel_destroy(vm);
}
