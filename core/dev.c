/*
 * Devices and wires: creation from a class, properties, pins, lifecycle, and save and load of all.
 *
 * An input pin counts its drivers that are high (wired-OR), so the order in which several outputs
 * change never matters. Output levels are saved with each device; input counts follow from outputs
 * and wires, so a load recomputes them and raises no pin() calls: whatever a device derived from a
 * level is in its own state.
 *
 * Properties are parsed here for all classes; a class gives a table.
 */
#include "core/dev.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bits.h"
#include "util/os_mem.h"
#include "util/suggest.h"

struct pin_link {
    unsigned out;
    struct dev *to;
    unsigned in;
};

static void *grow(void *p, size_t n, size_t size)
{
    p = realloc(p, n * size);
    if (!p) {
        abort();
    }
    return p;
}

static void *zalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p) {
        abort();
    }
    return p;
}

/* A vCPU is large because of the tables that its engine looks things up in: such devices have
 * memory that the host may back by whole huge pages (os_mem_collapse), and cost nothing where they
 * are not touched. */
static struct dev *dev_alloc(size_t size)
{
    struct dev *d =
        size < OS_MEM_HUGE ? zalloc(1, size) : os_mem_alloc(os_mem_huge_up(size), OS_MEM_HUGE, 0);
    if (!d) {
        abort();
    }
    return d;
}

static void dev_free(struct dev *d)
{
    if (d->cls->size < OS_MEM_HUGE) {
        free(d);
    } else {
        os_mem_free(d, os_mem_huge_up(d->cls->size));
    }
}

/* --- Properties --- */

static unsigned names_count(const char *const *names)
{
    unsigned n = 0;
    while (names && names[n]) {
        n++;
    }
    return n;
}

static const char *prop_name(void *ctx, unsigned i)
{
    const struct prop *props = ctx;
    return props ? props[i].name : NULL;
}

static const struct prop *prop_find(const struct dev *d, const char *name, struct err *e)
{
    char list[256] = "";
    size_t used = 0;
    for (const struct prop *p = d->cls->props; p && p->name; p++) {
        if (strcmp(p->name, name) == 0) {
            return p;
        }
        if (used < sizeof list) {
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                                     p->name);
        }
    }
    if (used) {
        err_usage(e, "%s has no property \"%.64s\"; the nearest is %s (it has %s)", d->cls->name,
                  name, suggest_nearest(name, prop_name, (void *)d->cls->props), list);
    } else {
        err_usage(e, "%s has no property \"%.64s\"; it has none", d->cls->name, name);
    }
    return NULL;
}

static bool parse_bool(const char *value, bool *out)
{
    static const char *const yes[] = {"on", "true", "yes", "1"};
    static const char *const no[] = {"off", "false", "no", "0"};
    for (unsigned i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcmp(value, yes[i]) == 0) {
            *out = true;
            return true;
        }
        if (strcmp(value, no[i]) == 0) {
            *out = false;
            return true;
        }
    }
    return false;
}

static bool set_number(struct dev *d, const struct prop *p, const char *value, struct err *e)
{
    uint64_t top = p->kind == PROP_U32 ? UINT32_MAX : UINT64_MAX;
    uint64_t max = p->max ? p->max : top;
    char *end;
    errno = 0;
    uint64_t v = strtoull(value, &end, 0);
    bool digits = *value >= '0' && *value <= '9';
    if (!digits || *end || errno || v < p->min || v > max) {
        return err_usage(e, "%s.%s=%s: want a number from %" PRIu64 " to %" PRIu64, d->cls->name,
                         p->name, value, p->min, max);
    }
    void *where = (char *)d + p->off;
    if (p->kind == PROP_U32) {
        *(uint32_t *)where = (uint32_t)v;
    } else {
        *(uint64_t *)where = v;
    }
    return true;
}

static bool set_prop(struct dev *d, const struct prop *p, const char *value, struct err *e)
{
    char *where = (char *)d + p->off;
    switch (p->kind) {
    case PROP_BOOL:
        if (!parse_bool(value, (bool *)(void *)where)) {
            return err_usage(e, "%s.%s=%s: want on or off", d->cls->name, p->name, value);
        }
        return true;
    case PROP_U32:
    case PROP_U64:
        return set_number(d, p, value, e);
    case PROP_STR:
        if (strlen(value) >= 32) {
            return err_usage(e, "%s.%s: want at most 31 characters", d->cls->name, p->name);
        }
        memset(where, 0, 32);
        memcpy(where, value, strlen(value));
        return true;
    case PROP_CHR:
    case PROP_DRIVE:
    case PROP_NET:
        break;
    }
    return err_usage(e, "%s.%s is a back end, not a value", d->cls->name, p->name);
}

bool dev_set(struct dev *d, const char *prop, const char *value, struct err *e)
{
    assert(!d->inited);
    return dev_set_late(d, prop, value, e);
}

bool dev_set_late(struct dev *d, const char *prop, const char *value, struct err *e)
{
    const struct prop *p = prop_find(d, prop, e);
    return p && set_prop(d, p, value, e);
}

bool dev_set_backend(struct dev *d, const char *prop, enum prop_kind kind, void *backend,
                     struct err *e)
{
    static const char *const what[] = {
        [PROP_CHR] = "character", [PROP_DRIVE] = "block", [PROP_NET] = "network"};
    assert(!d->inited);
    const struct prop *p = prop_find(d, prop, e);
    if (!p) {
        return false;
    }
    if (p->kind != kind) {
        return err_set(e, "%s.%s takes no %s back end", d->cls->name, p->name, what[kind]);
    }
    memcpy((char *)d + p->off, &backend, sizeof backend);
    return true;
}

bool dev_prop_kind(const struct dev *d, const char *prop, enum prop_kind *kind)
{
    struct err e;
    const struct prop *p = prop_find(d, prop, &e);
    if (p) {
        *kind = p->kind;
    }
    return p != NULL;
}

/* --- Lifecycle --- */

struct dev *dev_find(const struct dev_env *env, const char *name)
{
    for (unsigned i = 0; i < env->ndevs; i++) {
        if (strcmp(env->devs[i]->name, name) == 0) {
            return env->devs[i];
        }
    }
    return NULL;
}

struct dev *dev_new(struct dev_env *env, const struct dev_class *cls, const char *name,
                    struct err *e)
{
    assert(cls->size >= sizeof(struct dev));
    assert(!cls->state || cls->state_off + cls->state->size <= cls->size);
    if (!*name || strlen(name) >= sizeof env->devs[0]->name) {
        return (void)err_set(e, "device name \"%s\": want 1 to 31 characters", name), NULL;
    }
    if (dev_find(env, name)) {
        return (void)err_set(e, "there are two devices named \"%s\"", name), NULL;
    }
    struct dev *d = dev_alloc(cls->size);
    d->cls = cls;
    d->env = env;
    memcpy(d->name, name, strlen(name));
    d->nin = names_count(cls->pins_in);
    d->nout = names_count(cls->pins_out);
    d->out_levels = zalloc((d->nout + 63) / 64, sizeof d->out_levels[0]);
    d->in_high = zalloc(d->nin, sizeof d->in_high[0]);
    for (const struct prop *p = cls->props; p && p->name; p++) {
        struct err bad;
        bool good = !p->def || set_prop(d, p, p->def, &bad);
        assert(good && "a class has a bad default");
        (void)good;
    }
    env->devs = grow(env->devs, env->ndevs + 1, sizeof env->devs[0]);
    env->devs[env->ndevs++] = d;
    return d;
}

bool dev_init(struct dev *d, struct err *e)
{
    assert(!d->inited);
    if (d->cls->init && !d->cls->init(d, e)) {
        return err_prefix(e, "%s", d->name);
    }
    d->inited = true;
    return true;
}

void dev_free_all(struct dev_env *env)
{
    while (env->ndevs) {
        struct dev *d = env->devs[--env->ndevs];
        if (d->inited && d->cls->fini) {
            d->cls->fini(d);
        }
        free(d->links);
        free(d->out_levels);
        free(d->in_high);
        dev_free(d);
    }
    free(env->devs);
    env->devs = NULL;
}

void dev_reset_all(struct dev_env *env, enum reset_kind kind)
{
    for (unsigned i = 0; i < env->ndevs; i++) {
        struct dev *d = env->devs[i];
        if (d->cls->reset) {
            d->cls->reset(d, kind);
        }
    }
}

/* --- Pins --- */

static bool pin_find(const struct dev *d, const char *const *names, const char *name, unsigned *out,
                     struct err *e)
{
    for (unsigned i = 0; names && names[i]; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = i;
            return true;
        }
    }
    return err_set(e, "%s (%s) has no %s pin \"%s\"", d->name, d->cls->name,
                   names == d->cls->pins_in ? "input" : "output", name);
}

static void in_change(struct dev *d, unsigned in, bool level)
{
    uint16_t was = d->in_high[in];
    d->in_high[in] = (uint16_t)(level ? was + 1 : was - 1);
    bool edge = level ? was == 0 : was == 1;
    if (edge && d->cls->pin) {
        d->cls->pin(d, in, level);
    }
}

bool dev_connect(struct dev *from, const char *out, struct dev *to, const char *in, struct err *e)
{
    struct pin_link l = {.to = to};
    if (!pin_find(from, from->cls->pins_out, out, &l.out, e) ||
        !pin_find(to, to->cls->pins_in, in, &l.in, e)) {
        return false;
    }
    for (unsigned i = 0; i < from->nlinks; i++) {
        const struct pin_link *o = &from->links[i];
        if (o->out == l.out && o->to == to && o->in == l.in) {
            return err_set(e, "%s.%s is wired to %s.%s twice", from->name, out, to->name, in);
        }
    }
    from->links = grow(from->links, from->nlinks + 1, sizeof l);
    from->links[from->nlinks++] = l;
    if (dev_pin_out(from, l.out)) {
        in_change(to, l.in, true);
    }
    return true;
}

bool dev_has_out(const struct dev *d, const char *out)
{
    unsigned pin;
    return pin_find(d, d->cls->pins_out, out, &pin, NULL);
}

bool dev_pin_driven(const struct dev_env *env, const struct dev *d, const char *in)
{
    unsigned pin;
    if (!pin_find(d, d->cls->pins_in, in, &pin, NULL)) {
        return false;
    }
    for (unsigned i = 0; i < env->ndevs; i++) {
        const struct dev *from = env->devs[i];
        for (unsigned k = 0; k < from->nlinks; k++) {
            if (from->links[k].to == d && from->links[k].in == pin) {
                return true;
            }
        }
    }
    return false;
}

void dev_pin_set(struct dev *d, unsigned out, bool level)
{
    assert(out < d->nout);
    if (dev_pin_out(d, out) == level) {
        return;
    }
    d->out_levels[out / 64] ^= UINT64_C(1) << out % 64;
    for (unsigned i = 0; i < d->nlinks; i++) {
        if (d->links[i].out == out) {
            in_change(d->links[i].to, d->links[i].in, level);
        }
    }
}

bool dev_pin_out(const struct dev *d, unsigned out)
{
    assert(out < d->nout);
    return d->out_levels[out / 64] >> out % 64 & 1;
}

bool dev_pin_in(const struct dev *d, unsigned in)
{
    assert(in < d->nin);
    return d->in_high[in] != 0;
}

/* --- Save and load --- */

/* Pin levels as a state table of their own, with as many words as the class has outputs / 64. */
static const char PINS[] = "pins";

static struct st_field pins_field(const struct dev *d)
{
    return (struct st_field){
        "out", 0, sizeof(uint64_t), (d->nout + 63) / 64, ST_U64, 1, NULL,
    };
}

static struct st_desc pins_desc(const struct dev *d, const struct st_field *f)
{
    return (struct st_desc){PINS, f->count * sizeof d->out_levels[0], 1, 1, f};
}

static const char DEVICES[] = "devices";

struct count_state {
    uint32_t n;
};
static const struct st_field count_fields[] = {
    {"count", offsetof(struct count_state, n), sizeof(uint32_t), 1, ST_U32, 1, NULL},
};
static const struct st_desc count_desc = {DEVICES, sizeof(struct count_state), 1, 1, count_fields};

void dev_save_all(const struct dev_env *env, struct st_buf *b)
{
    struct count_state count = {env->ndevs};
    st_save(b, DEVICES, &count_desc, &count);
    for (unsigned i = 0; i < env->ndevs; i++) {
        struct dev *d = env->devs[i];
        if (d->cls->state) {
            st_save(b, d->name, d->cls->state, dev_state(d));
        }
        if (d->nout) {
            struct st_field f = pins_field(d);
            struct st_desc desc = pins_desc(d, &f);
            st_save(b, d->name, &desc, d->out_levels);
        }
    }
}

struct diff_ctx {
    const struct dev *d;
    void (*fn)(void *ctx, const char *dev, const char *path, uint64_t saved, uint64_t now);
    void *ctx;
};

static void diff_field(void *ctx, const char *path, uint64_t saved, uint64_t now)
{
    struct diff_ctx *x = ctx;
    x->fn(x->ctx, x->d->name, path, saved, now);
}

static bool diff_table(struct diff_ctx *x, struct st_src *src, const struct st_desc *desc,
                       const void *now)
{
    struct err e;
    void *saved = calloc(1, desc->size);
    if (!saved) {
        abort();
    }
    bool ok = st_load(src, x->d->name, desc, saved, &e);
    if (ok) {
        st_diff(desc, saved, now, diff_field, x);
    }
    free(saved);
    return ok;
}

bool dev_diff_all(const struct dev_env *env, struct st_src *src,
                  void (*fn)(void *ctx, const char *dev, const char *path, uint64_t saved,
                             uint64_t now),
                  void *ctx)
{
    struct count_state count = {0};
    struct err e;
    bool ok = st_load(src, DEVICES, &count_desc, &count, &e) && count.n == env->ndevs;
    for (unsigned i = 0; ok && i < env->ndevs; i++) {
        struct dev *d = env->devs[i];
        struct diff_ctx x = {d, fn, ctx};
        ok = !d->cls->state || diff_table(&x, src, d->cls->state, dev_state(d));
        if (ok && d->nout) {
            struct st_field f = pins_field(d);
            struct st_desc desc = pins_desc(d, &f);
            ok = diff_table(&x, src, &desc, d->out_levels);
        }
    }
    return ok;
}

static bool load_one(struct dev *d, struct st_src *src, struct err *e)
{
    if (d->cls->state && !st_load(src, d->name, d->cls->state, dev_state(d), e)) {
        return false;
    }
    if (d->nout) {
        struct st_field f = pins_field(d);
        struct st_desc desc = pins_desc(d, &f);
        if (!st_load(src, d->name, &desc, d->out_levels, e)) {
            return false;
        }
        uint64_t surplus = d->nout % 64 ? d->out_levels[f.count - 1] >> d->nout % 64 : 0;
        if (surplus) {
            return err_set(e, "\"%s\": levels of pins that it does not have", d->name);
        }
    }
    return true;
}

/* Input counts follow from the outputs and the wires. */
static void recompute_inputs(struct dev_env *env)
{
    for (unsigned i = 0; i < env->ndevs; i++) {
        struct dev *d = env->devs[i];
        memset(d->in_high, 0, d->nin * sizeof d->in_high[0]);
    }
    for (unsigned i = 0; i < env->ndevs; i++) {
        const struct dev *d = env->devs[i];
        for (unsigned k = 0; k < d->nlinks; k++) {
            const struct pin_link *l = &d->links[k];
            l->to->in_high[l->in] = (uint16_t)(l->to->in_high[l->in] + dev_pin_out(d, l->out));
        }
    }
}

/* The bytes of one device that a load may change: state, then output levels. */
static size_t image_size(const struct dev *d)
{
    return (d->cls->state ? d->cls->state->size : 0) + (d->nout + 63) / 64 * sizeof(uint64_t);
}

static void image_copy(struct dev *d, uint8_t *image, bool to_dev)
{
    size_t n = d->cls->state ? d->cls->state->size : 0, m = image_size(d) - n;
    if (to_dev) {
        memcpy(dev_state(d), image, n);
        memcpy(d->out_levels, image + n, m);
    } else {
        memcpy(image, dev_state(d), n);
        memcpy(image + n, d->out_levels, m);
    }
}

static void image_all(struct dev_env *env, uint8_t *image, bool to_dev)
{
    for (unsigned i = 0; i < env->ndevs; i++) {
        image_copy(env->devs[i], image, to_dev);
        image += image_size(env->devs[i]);
    }
}

/* Load all states; false: they are as they were. With `check` they are so in any case. */
static bool load_states(struct dev_env *env, struct st_src *src, bool check, struct err *e)
{
    struct count_state count = {0};
    if (!st_load(src, DEVICES, &count_desc, &count, e)) {
        return false;
    }
    if (count.n != env->ndevs) {
        return err_set(e, "the snapshot has %" PRIu32 " devices, this machine %u", count.n,
                       env->ndevs);
    }
    size_t total = 0;
    for (unsigned i = 0; i < env->ndevs; i++) {
        total += image_size(env->devs[i]);
    }
    uint8_t *before = zalloc(total, 1);
    image_all(env, before, false);
    bool ok = true;
    for (unsigned i = 0; i < env->ndevs && ok; i++) {
        ok = load_one(env->devs[i], src, e);
    }
    if (!ok || check) {
        image_all(env, before, true);
    }
    free(before);
    return ok;
}

bool dev_check_all(struct dev_env *env, struct st_src *src, struct err *e)
{
    return load_states(env, src, true, e);
}

bool dev_load_all(struct dev_env *env, struct st_src *src, struct err *e)
{
    if (!load_states(env, src, false, e)) {
        return false;
    }
    recompute_inputs(env);
    clock_resync(env->clock);
    for (unsigned i = 0; i < env->ndevs; i++) {
        if (env->devs[i]->cls->restored) {
            env->devs[i]->cls->restored(env->devs[i]);
        }
    }
    return true;
}

uint64_t dev_digest_all(const struct dev_env *env, uint64_t h)
{
    for (unsigned i = 0; i < env->ndevs; i++) {
        struct dev *d = env->devs[i];
        h = st_digest_bytes(h, d->name, strlen(d->name));
        if (d->cls->state) {
            h = st_digest(h, d->cls->state, dev_state(d));
        }
        for (unsigned k = 0; k < (d->nout + 63) / 64; k++) {
            uint8_t word[8];
            le64_put(word, d->out_levels[k]);
            h = st_digest_bytes(h, word, sizeof word);
        }
    }
    return h;
}
