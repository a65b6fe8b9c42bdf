// State tables: what is saved loads, what is bad changes nothing, digests see values only.

#include "core/state.h"

#include <stdlib.h>
#include <string.h>

#include "tests/t.h"
#include "util/bits.h"

#define INNER_STATE(S, V, A, N)                                                                    \
    V(S, uint16_t, base, 1)                                                                        \
    V(S, bool, on, 1)
ST_DECLARE(inner, INNER_STATE);
ST_DESCRIBE(inner, INNER_STATE, 1);

#define OUTER_STATE(S, V, A, N)                                                                    \
    V(S, uint8_t, a, 1)                                                                            \
    V(S, uint64_t, b, 1)                                                                           \
    V(S, int16_t, neg, 1)                                                                          \
    V(S, int8_t, neg8, 1)                                                                          \
    V(S, int32_t, neg32, 1)                                                                        \
    V(S, int64_t, neg64, 1)                                                                        \
    V(S, bool, flag, 1)                                                                            \
    A(S, uint32_t, arr, 3, 1)                                                                      \
    V(S, struct vtimer, t, 1)                                                                      \
    N(S, inner, sub, 2, 1)
ST_DECLARE(outer, OUTER_STATE);
ST_DESCRIBE(outer, OUTER_STATE, 1);

// The same table one version later, with a field more, as after an upgrade of doppel.
#define OUTER2_STATE(S, V, A, N)                                                                   \
    OUTER_STATE(S, V, A, N)                                                                        \
    V(S, uint32_t, fresh, 2)
ST_DECLARE(outer2, OUTER2_STATE);
ST_DESCRIBE(outer2, OUTER2_STATE, 2);

static struct outer sample(uint8_t padding)
{
    struct outer s;
    memset(&s, padding, sizeof s);
    s.a = 0x12;
    s.b = UINT64_C(0x8877665544332211);
    s.neg = -2;
    s.neg8 = -128;
    s.neg32 = -3;
    s.neg64 = INT64_MIN;
    s.flag = true;
    s.arr[0] = 1;
    s.arr[1] = 0xdeadbeef;
    s.arr[2] = 3;
    s.t.deadline = VTIME_NEVER;
    s.sub[0].base = 0x3f8;
    s.sub[0].on = false;
    s.sub[1].base = 0x2f8;
    s.sub[1].on = true;
    return s;
}

static bool load(const struct st_buf *b, struct outer *s, struct err *e)
{
    struct st_src src = {b->data, b->len, 0};
    return st_load(&src, "x0", &outer_desc, s, e) && src.pos == src.len;
}

TEST(state_round_trip)
{
    struct outer a = sample(0), z = {0};
    struct st_buf b = {0};
    struct err e;
    st_save(&b, "x0", &outer_desc, &a);
    EXPECT(load(&b, &z, &e));
    EXPECT_EQ(st_diff(&outer_desc, &a, &z, NULL, NULL), 0);
    EXPECT_EQ(z.neg, -2);
    EXPECT_EQ(z.neg64, INT64_MIN);
    EXPECT_EQ(z.sub[1].base, 0x2f8);
    EXPECT(z.sub[1].on);
    st_buf_free(&b);
}

// The stream is little-endian on every host, so its bytes are known.
TEST(state_stream_bytes)
{
    struct inner s = {0x1234, true};
    struct st_buf b = {0};
    st_save(&b, "q", &inner_desc, &s);
    static const uint8_t want[] = {
        1, 'q',                       // instance
        5, 'i', 'n', 'n', 'e',  'r',  // table
        1, 0,   0,   0,   2,    0,    // version, fields
        4, 'b', 'a', 's', 'e',  2,    // name, kind u16
        1, 0,   0,   0,   0x34, 0x12, // count, value
        2, 'o', 'n', 9,   1,    0,    0, 0, 1,
    };
    EXPECT_EQ(b.len, sizeof want);
    EXPECT_MEM(b.data, want, sizeof want);
    st_buf_free(&b);
}

TEST(state_truncated_stream_changes_nothing)
{
    struct outer a = sample(0);
    struct st_buf b = {0};
    st_save(&b, "x0", &outer_desc, &a);
    size_t full = b.len;
    for (size_t n = 0; n < full; n++) {
        struct outer z = {.a = 0x77};
        struct err e = {""};
        // A block of exactly n bytes, so that ASan sees a read beyond it.
        uint8_t *exact = malloc(n ? n : 1);
        memcpy(exact, b.data, n);
        struct st_buf cut = {exact, n, n};
        t_context("%zu of %zu bytes", n, full);
        EXPECT(!load(&cut, &z, &e));
        EXPECT(e.msg[0] != '\0');
        EXPECT(z.a == 0x77 && z.b == 0 && z.sub[1].base == 0);
        free(exact);
    }
    st_buf_free(&b);
}

// Any single changed byte gives a clean refusal or a state that saves again to just those bytes.
TEST(state_flipped_bytes)
{
    struct outer a = sample(0);
    struct st_buf b = {0};
    st_save(&b, "x0", &outer_desc, &a);
    struct t_rng rng = {t_seed()};
    uint64_t n = t_amount(5000, 50000, 5000000);
    unsigned accepted = 0;
    for (uint64_t i = 0; i < n; i++) {
        size_t at = t_rand_below(&rng, b.len);
        uint8_t old = b.data[at];
        b.data[at] = (uint8_t)t_rand(&rng);
        struct outer z = sample(0);
        z.a = 0x55;
        struct err e = {""};
        if (load(&b, &z, &e)) {
            struct st_buf again = {0};
            st_save(&again, "x0", &outer_desc, &z);
            EXPECT(again.len == b.len && memcmp(again.data, b.data, b.len) == 0);
            st_buf_free(&again);
            accepted++;
        } else {
            EXPECT_EQ(z.a, 0x55);
        }
        b.data[at] = old;
    }
    EXPECT(accepted > n / 20 && accepted < n / 2);
    st_buf_free(&b);
}

TEST(state_wrong_instance_or_table)
{
    struct outer a = sample(0), z = {0};
    struct st_buf b = {0};
    struct err e;
    st_save(&b, "x1", &outer_desc, &a);
    EXPECT(!load(&b, &z, &e));
    EXPECT(strstr(e.msg, "x1") && strstr(e.msg, "x0"));
    st_buf_free(&b);
    st_save(&b, "x0", &inner_desc, &a.sub[0]);
    EXPECT(!load(&b, &z, &e));
    st_buf_free(&b);
}

TEST(state_bool_is_zero_or_one)
{
    struct inner s = {1, true}, z = {7, false};
    struct st_buf b = {0};
    struct err e;
    st_save(&b, "q", &inner_desc, &s);
    b.data[b.len - 1] = 2;
    struct st_src src = {b.data, b.len, 0};
    EXPECT(!st_load(&src, "q", &inner_desc, &z, &e));
    EXPECT_EQ(z.base, 7);
    st_buf_free(&b);
}

// An older stream may lack what a newer table added, and nothing else.
TEST(state_since_and_versions)
{
    struct st_desc as_outer = outer2_desc; // the name of the table does not change with its version
    as_outer.name = "outer";
    struct outer a = sample(0);
    struct outer2 z = {.fresh = 42};
    struct st_buf b = {0};
    struct err e;
    st_save(&b, "x0", &outer_desc, &a);
    struct st_src src = {b.data, b.len, 0};
    EXPECT(st_load(&src, "x0", &as_outer, &z, &e));
    EXPECT_EQ(z.fresh, 42); // kept
    EXPECT_EQ(z.b, a.b);
    st_buf_free(&b);

    // A newer stream is refused by an older table.
    st_save(&b, "x0", &as_outer, &z);
    struct outer old = {0};
    EXPECT(!load(&b, &old, &e));
    EXPECT(strstr(e.msg, "version"));
    st_buf_free(&b);

    // Version 2 must carry the field; version 1 must not.
    struct st_desc lies = outer_desc;
    lies.version = 2;
    st_save(&b, "x0", &lies, &a);
    src = (struct st_src){b.data, b.len, 0};
    EXPECT(!st_load(&src, "x0", &as_outer, &z, &e));
    EXPECT(strstr(e.msg, "missing"));
    st_buf_free(&b);
    lies = as_outer;
    lies.version = 1;
    st_save(&b, "x0", &lies, &z);
    src = (struct st_src){b.data, b.len, 0};
    EXPECT(!st_load(&src, "x0", &as_outer, &z, &e));
    EXPECT(strstr(e.msg, "unknown"));
    st_buf_free(&b);
}

TEST(state_field_twice)
{
    static const struct st_field twice[] = {
        {"base", offsetof(struct inner, base), 2, 1, ST_U16, 1, NULL},
        {"base", offsetof(struct inner, base), 2, 1, ST_U16, 1, NULL},
        {"on", offsetof(struct inner, on), sizeof(bool), 1, ST_BOOL, 1, NULL},
    };
    struct st_desc d = {"inner", sizeof(struct inner), 1, 3, twice};
    struct inner s = {1, true}, z = {7, false};
    struct st_buf b = {0};
    struct err e;
    st_save(&b, "q", &d, &s);
    struct st_src src = {b.data, b.len, 0};
    EXPECT(!st_load(&src, "q", &inner_desc, &z, &e));
    EXPECT(strstr(e.msg, "twice"));
    st_buf_free(&b);
}

TEST(state_digest_ignores_padding)
{
    struct outer a = sample(0), b = sample(0xa5);
    EXPECT(memcmp(&a, &b, sizeof a) != 0);
    EXPECT_EQ(st_digest(ST_DIGEST_INIT, &outer_desc, &a),
              st_digest(ST_DIGEST_INIT, &outer_desc, &b));
}

TEST(state_digest_sees_every_field)
{
    struct outer a = sample(0);
    uint64_t h = st_digest(ST_DIGEST_INIT, &outer_desc, &a);
    struct outer b = a;
    b.a ^= 1;
    EXPECT(st_digest(ST_DIGEST_INIT, &outer_desc, &b) != h);
    b = a;
    b.sub[1].on = false;
    EXPECT(st_digest(ST_DIGEST_INIT, &outer_desc, &b) != h);
    b = a;
    b.t.deadline = 1;
    EXPECT(st_digest(ST_DIGEST_INIT, &outer_desc, &b) != h);
    b = a;
    b.arr[0] = 3;
    b.arr[2] = 1;
    EXPECT(st_digest(ST_DIGEST_INIT, &outer_desc, &b) != h);
}

// The value is the same on every host: a golden number, so that a big-endian run compares.
TEST(state_digest_is_portable)
{
    uint8_t bytes[200];
    for (unsigned i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    EXPECT_EQ(st_digest_bytes(ST_DIGEST_INIT, bytes, sizeof bytes), UINT64_C(0xf1b68e4ac3636c85));
    struct outer a = sample(0);
    EXPECT_EQ(st_digest(ST_DIGEST_INIT, &outer_desc, &a), UINT64_C(0x14c79137b5869239));
    // Length matters even when the added bytes are zero.
    uint8_t zeros[16] = {0};
    EXPECT(st_digest_bytes(1, zeros, 8) != st_digest_bytes(1, zeros, 16));
    EXPECT(st_digest_bytes(1, zeros, 3) != st_digest_bytes(1, zeros, 4));
}

struct seen {
    unsigned n;
    char path[4][64];
    uint64_t a[4], b[4];
};

static void on_diff(void *ctx, const char *path, uint64_t a, uint64_t b)
{
    struct seen *s = ctx;
    if (s->n < 4) {
        strncpy(s->path[s->n], path, sizeof s->path[0] - 1);
        s->a[s->n] = a;
        s->b[s->n] = b;
    }
    s->n++;
}

TEST(state_diff_names_what_differs)
{
    struct outer a = sample(0), b = sample(0xff);
    struct seen s = {0};
    EXPECT_EQ(st_diff(&outer_desc, &a, &b, on_diff, &s), 0);
    b.sub[1].base = 0x3e8;
    b.arr[2] = 9;
    b.neg = -3;
    EXPECT_EQ(st_diff(&outer_desc, &a, &b, on_diff, &s), 3);
    EXPECT_EQ(s.n, 3);
    EXPECT_STR(s.path[0], "neg");
    EXPECT_EQ(s.b[0], (uint64_t)-3);
    EXPECT_STR(s.path[1], "arr[2]");
    EXPECT_EQ(s.a[1], 3);
    EXPECT_STR(s.path[2], "sub[1].base");
    EXPECT_EQ(s.b[2], 0x3e8);
}

static void on_each(void *ctx, const char *path, enum st_kind kind, uint64_t val)
{
    struct seen *s = ctx;
    if (strcmp(path, "sub[1].on") == 0) {
        EXPECT_EQ(kind, ST_BOOL);
        EXPECT_EQ(val, 1);
        s->b[0] = 1;
    }
    s->n++;
}

TEST(state_each_lists_every_element)
{
    struct outer a = sample(0);
    struct seen s = {0};
    st_each(&outer_desc, &a, on_each, &s);
    EXPECT_EQ(s.n, 7 + 3 + 1 + 4);
    EXPECT_EQ(s.b[0], 1);
}
