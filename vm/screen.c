/*
 * Frames: drawn by the machine's thread, published by a swap of pointers, counted while viewers
 * hold them.
 *
 * The adapter draws into one frame of ours, `work`, since it may draw only what has changed since
 * its last call. When that changed, it is copied to a buffer that no viewer holds, and the buffer
 * becomes the latest picture. The lock covers which picture is the latest and how many hold each;
 * nobody draws, copies or compares under it.
 *
 * What always holds: a published picture never changes; two pictures with the same serial are the
 * same, with different serials they differ; nothing here changes what a guest can observe, so
 * frames may be asked for at any time without a trace in a recording.
 */
#include "vm/screen.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host/picture.h"
#include "vm/monitor_info.h"
#include "vm/vm.h"

struct picture {
    struct frame f;
    uint64_t serial;
    vtime when;
    unsigned holders; /* viewers; under the lock */
};

struct screen {
    struct doppel_vm *vm;
    struct frame work;
    bool all;   /* `work` is not what the adapter drew last: draw everything */
    bool stale; /* `work` has changed since it was compared with the latest picture */
    atomic_bool wanted;
    pthread_mutex_t lock;
    struct picture *latest; /* NULL: none yet. Only the machine's thread replaces it */
    struct picture *spare;  /* a buffer to reuse */
    void (*ready)(void *ctx);
    void *ready_ctx;
};

struct screen *screen_new(struct doppel_vm *vm)
{
    struct screen *s = calloc(1, sizeof *s);
    if (s) {
        s->vm = vm;
        s->all = true;
        pthread_mutex_init(&s->lock, NULL);
    }
    return s;
}

static void picture_free(struct picture *p)
{
    if (p) {
        frame_free(&p->f);
        free(p);
    }
}

void screen_free(struct screen *s)
{
    if (s) {
        picture_free(s->latest);
        picture_free(s->spare);
        frame_free(&s->work);
        pthread_mutex_destroy(&s->lock);
        free(s);
    }
}

void screen_forget(struct screen *s)
{
    s->all = true;
}

/* --- Drawing and publishing: machine's thread --- */

/* Bring `work` up to date. False: there is no adapter. */
static bool draw(struct screen *s)
{
    struct dev_env *env = &s->vm->env;
    if (!env->display_ops) {
        return false;
    }
    s->stale |= env->display_ops->draw(env->display, &s->work, s->all) || s->all;
    s->all = false;
    return true;
}

static size_t frame_bytes(const struct frame *f)
{
    return (size_t)f->width * f->height * sizeof f->pixel[0];
}

static bool frames_equal(const struct frame *a, const struct frame *b)
{
    size_t n = frame_bytes(a);
    return a->width == b->width && a->height == b->height &&
           (n == 0 || memcmp(a->pixel, b->pixel, n) == 0);
}

/* A buffer that nobody holds, of work's size. NULL: no host memory. */
static struct picture *take_buffer(struct screen *s)
{
    pthread_mutex_lock(&s->lock);
    struct picture *p = s->spare;
    s->spare = NULL;
    pthread_mutex_unlock(&s->lock);
    if (!p) {
        p = calloc(1, sizeof *p);
    }
    if (p && !frame_resize(&p->f, s->work.width, s->work.height)) {
        picture_free(p);
        p = NULL;
    }
    return p;
}

/* Under the lock: a picture that is not the latest any more and that nobody holds. */
static struct picture *recycle(struct screen *s, struct picture *p)
{
    if (s->spare) {
        return p; /* the caller frees it, without the lock */
    }
    s->spare = p;
    return NULL;
}

/* Publish `work` if it differs from what is published. True: it did. */
static bool publish(struct screen *s)
{
    struct picture *old = s->latest, *unused = NULL;
    if (!s->stale || (old && frames_equal(&old->f, &s->work))) {
        s->stale = false;
        return false;
    }
    struct picture *p = take_buffer(s);
    if (!p) {
        return false;
    }
    s->stale = false;
    if (frame_bytes(&s->work)) {
        memcpy(p->f.pixel, s->work.pixel, frame_bytes(&s->work));
    }
    p->when = s->vm->clock.s.now;
    p->serial = old ? old->serial + 1 : 1;
    pthread_mutex_lock(&s->lock);
    s->latest = p;
    if (old && !old->holders) {
        unused = recycle(s, old);
    }
    void (*ready)(void *ctx) = s->ready;
    void *ctx = s->ready_ctx;
    pthread_mutex_unlock(&s->lock);
    picture_free(unused);
    if (ready) {
        ready(ctx);
    }
    return true;
}

void screen_poll(struct screen *s)
{
    if (!atomic_load_explicit(&s->wanted, memory_order_relaxed)) {
        return;
    }
    /* Cleared first: a request that comes in while we draw is for the next frame. */
    atomic_store(&s->wanted, false);
    if (!draw(s) || !publish(s)) {
        atomic_store(&s->wanted, true);
    }
}

/* --- Viewers: any thread --- */

void doppel_frame_request(struct doppel_vm *vm)
{
    atomic_store(&vm->screen->wanted, true);
}

bool doppel_frame_get(struct doppel_vm *vm, uint64_t seen, struct doppel_frame *out)
{
    struct screen *s = vm->screen;
    pthread_mutex_lock(&s->lock);
    struct picture *p = s->latest;
    bool fresh = p && p->serial != seen;
    if (fresh) {
        p->holders++;
        *out = (struct doppel_frame){p->serial, p->when, p->f.width, p->f.height, p->f.pixel, p};
    }
    pthread_mutex_unlock(&s->lock);
    return fresh;
}

void doppel_frame_release(struct doppel_vm *vm, struct doppel_frame *frame)
{
    struct screen *s = vm->screen;
    struct picture *p = frame->held, *unused = NULL;
    if (p) {
        pthread_mutex_lock(&s->lock);
        if (--p->holders == 0 && p != s->latest) {
            unused = recycle(s, p);
        }
        pthread_mutex_unlock(&s->lock);
        picture_free(unused);
    }
    *frame = (struct doppel_frame){0};
}

void doppel_frame_listen(struct doppel_vm *vm, void (*fn)(void *ctx), void *ctx)
{
    struct screen *s = vm->screen;
    pthread_mutex_lock(&s->lock);
    s->ready = fn;
    s->ready_ctx = ctx;
    pthread_mutex_unlock(&s->lock);
}

/* --- The screen at this instant: the owner's thread --- */

uint64_t doppel_screen_digest(struct doppel_vm *vm)
{
    struct screen *s = vm->screen;
    uint8_t size[8], row[4 * FRAME_MAX_WIDTH];
    if (!draw(s)) {
        return 0;
    }
    le32_put(size, s->work.width);
    le32_put(size + 4, s->work.height);
    uint64_t h = st_digest_bytes(ST_DIGEST_INIT, size, sizeof size);
    for (uint32_t y = 0; y < s->work.height; y++) {
        const uint32_t *p = s->work.pixel + (size_t)y * s->work.width;
        for (uint32_t x = 0; x < s->work.width; x++) {
            le32_put(row + 4 * (size_t)x, p[x] & 0xffffff);
        }
        h = st_digest_bytes(h, row, 4 * (size_t)s->work.width);
    }
    return h;
}

bool screen_dump(struct doppel_vm *vm, const char *path, struct err *e)
{
    if (!draw(vm->screen)) {
        return err_set(e, "this machine has no display adapter");
    }
    return picture_write(&vm->screen->work, path, e);
}

/* What the glyphs of code page 437 are in Unicode; 0x20..0x7e are themselves. */
// clang-format off
static const uint16_t cp437_low[32] = {
    0x0020, 0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022,
    0x25d8, 0x25cb, 0x25d9, 0x2642, 0x2640, 0x266a, 0x266b, 0x263c,
    0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7, 0x25ac, 0x21a8,
    0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc,
};
static const uint16_t cp437_high[128] = {
    0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7,
    0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5,
    0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9,
    0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192,
    0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba,
    0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb,
    0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556,
    0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510,
    0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f,
    0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567,
    0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b,
    0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580,
    0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4,
    0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229,
    0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248,
    0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x0020,
};
// clang-format on

static uint16_t cp437_unicode(uint8_t c)
{
    return c < 0x20 ? cp437_low[c] : c >= 0x80 ? cp437_high[c - 0x80] : c == 0x7f ? 0x2302 : c;
}

/* UTF-8 of a code point below 0x10000; the byte behind it. */
static char *put_utf8(char *out, uint16_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3f));
    } else {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    return out;
}

char *doppel_screen_text(struct doppel_vm *vm)
{
    const struct dev_env *env = &vm->env;
    struct text_screen *t = calloc(1, sizeof *t);
    char *text = NULL;
    if (t && env->display_ops && env->display_ops->text(env->display, t)) {
        uint32_t rows = t->rows < TEXT_MAX_ROWS ? t->rows : TEXT_MAX_ROWS;
        uint32_t cols = t->cols < TEXT_MAX_COLS ? t->cols : TEXT_MAX_COLS;
        char *at = text = malloc((size_t)rows * (3 * (size_t)cols + 1) + 1);
        for (uint32_t y = 0; text && y < rows; y++) {
            uint32_t n = cols;
            while (n && cp437_unicode(t->ch[y][n - 1]) == ' ') {
                n--;
            }
            for (uint32_t x = 0; x < n; x++) {
                at = put_utf8(at, cp437_unicode(t->ch[y][x]));
            }
            *at++ = '\n';
        }
        if (text) {
            *at = 0;
        }
    }
    free(t);
    return text;
}

bool screen_text(struct doppel_vm *vm, struct mon_out *o, struct err *e)
{
    if (!vm->env.display_ops) {
        return err_set(e, "this machine has no display adapter");
    }
    char *text = doppel_screen_text(vm);
    if (!text) {
        draw(vm->screen);
        return err_set(e, "the screen shows graphics, %" PRIu32 "x%" PRIu32 "; want screendump",
                       vm->screen->work.width, vm->screen->work.height);
    }
    o->fn(o->ctx, text, strlen(text));
    free(text);
    return true;
}
