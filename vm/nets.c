/*
 * -nic and -netdev: back ends and, for -nic, their cards.
 *
 * No card is made unless asked for: a machine that hears from the network is no longer a function
 * of its images, and that should be somebody's wish. "-nic none" says what is so anyway.
 */
#include "vm/nets.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/net_socket.h"
#include "host/net_user.h"
#include "hw/hw.h"
#include "util/suggest.h"
#include "vm/board.h"
#include "vm/monitor_info.h"
#include "vm/nets_plug.h"
#include "vm/replay.h"
#include "vm/vm.h"

enum { MAX_NETS = 2 * DOPPEL_MAX_NICS };

struct nets {
    struct net *net[MAX_NETS];
    unsigned n;
    char card[DOPPEL_MAX_NICS][128]; /* "ne2k_pci,netdev=net0,mac=..." */
    unsigned ncards;
};

struct spec {
    char type[16], id[32], model[24], mac[32], boot_index[12];
    char rest[2048]; /* the back end's own options */
};

static bool set_field(char *to, size_t size, const char *key, const char *v, struct err *e)
{
    if (strlen(v) >= size) {
        return err_usage(e, "%s=%.40s...: too long", key, v);
    }
    memcpy(to, v, strlen(v) + 1);
    return true;
}

static bool parse(const char *text, bool nic, struct spec *s, struct err *e)
{
    char item[1200];
    memset(s, 0, sizeof *s);
    for (const char *p = text; *p; p += strcspn(p, ","), p += *p == ',') {
        size_t n = strcspn(p, ","), used = strlen(s->rest);
        if (n >= sizeof item || used + n + 2 > sizeof s->rest) {
            return err_usage(e, "%.40s...: too long", text);
        }
        memcpy(item, p, n);
        item[n] = 0;
        bool ok = true;
        if (p == text) {
            ok = set_field(s->type, sizeof s->type, "type",
                           strncmp(item, "type=", 5) == 0 ? item + 5 : item, e);
        } else if (strncmp(item, "id=", 3) == 0) {
            ok = set_field(s->id, sizeof s->id, "id", item + 3, e);
        } else if (nic && strncmp(item, "model=", 6) == 0) {
            ok = set_field(s->model, sizeof s->model, "model", item + 6, e);
        } else if (nic && strncmp(item, "mac=", 4) == 0) {
            ok = set_field(s->mac, sizeof s->mac, "mac", item + 4, e);
        } else if (nic && strncmp(item, "bootindex=", 10) == 0) {
            ok = set_field(s->boot_index, sizeof s->boot_index, "bootindex", item + 10, e);
        } else {
            snprintf(s->rest + used, sizeof s->rest - used, "%s%s", used ? "," : "", item);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

static const struct {
    const char *type;
    struct net *(*open)(const char *options, struct err *e);
} back_ends[] = {{"user", net_user_open}, {"socket", net_socket_open}};

static struct net *open_type(const struct doppel_vm *vm, const struct spec *s, struct err *e)
{
    for (unsigned i = 0; i < sizeof back_ends / sizeof back_ends[0]; i++) {
        if (strcmp(s->type, back_ends[i].type) == 0) {
            return replay_feeds(vm->replay) || vm->twin
                       ? net_plug_new(s->type, s->rest, back_ends[i].open)
                       : back_ends[i].open(s->rest, e);
        }
    }
    err_usage(e, "%s: no such back end; there are user, socket, and none", s->type);
    return NULL;
}

static bool open_one(struct doppel_vm *vm, struct spec *s, struct err *e)
{
    struct nets *ns = vm->nets;
    if (!*s->id) {
        snprintf(s->id, sizeof s->id, "net%u", ns->n);
    }
    if (nets_find(vm, s->id)) {
        return err_usage(e, "id=%s: there are two of that name", s->id);
    }
    struct net *n = open_type(vm, s, e);
    if (!n) {
        return false;
    }
    const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, (uint8_t)(0x56 + ns->n)};
    memcpy(n->mac, mac, 6);
    snprintf(n->name, sizeof n->name, "%s", s->id);
    assert(ns->n < MAX_NETS);
    ns->net[ns->n++] = n;
    return true;
}

/* A device class with a network back end is a card. */
const char *doppel_nic_model(unsigned i, const char **help)
{
    for (const struct dev_class *const *c = hw_classes; *c; c++) {
        const struct prop *p = (*c)->props;
        while (p && p->name && p->kind != PROP_NET) {
            p++;
        }
        if (p && p->name && i-- == 0) {
            if (help) {
                *help = (*c)->help;
            }
            return (*c)->name;
        }
    }
    return NULL;
}

static const char *model_text(void *ctx, unsigned i)
{
    (void)ctx;
    return doppel_nic_model(i, NULL);
}

static bool check_model(const char *model, struct err *e)
{
    for (unsigned i = 0; doppel_nic_model(i, NULL); i++) {
        if (strcmp(model, doppel_nic_model(i, NULL)) == 0) {
            return true;
        }
    }
    return err_usage(e, "model=%s: no such card; the nearest is %s (\"-nic model=help\" lists all)",
                     model, suggest_nearest(model, model_text, NULL));
}

static bool open_nic(struct doppel_vm *vm, const char *text, struct err *e)
{
    struct nets *ns = vm->nets;
    struct spec s;
    if (strcmp(text, "none") == 0) {
        return true;
    }
    if (!parse(text, true, &s, e)) {
        return err_prefix(e, "-nic");
    }
    if (!*s.model) {
        snprintf(s.model, sizeof s.model, "%s", vm->board->nic);
    }
    if (!check_model(s.model, e) || !open_one(vm, &s, e)) {
        return err_prefix(e, "-nic");
    }
    snprintf(ns->card[ns->ncards++], sizeof ns->card[0], "%s,netdev=%s%s%s%s%s", s.model, s.id,
             *s.mac ? ",mac=" : "", s.mac, *s.boot_index ? ",bootindex=" : "", s.boot_index);
    return true;
}

bool nets_open(struct doppel_vm *vm, struct err *e)
{
    vm->nets = calloc(1, sizeof *vm->nets);
    if (!vm->nets) {
        abort();
    }
    for (unsigned i = 0; i < vm->opt.nnetdevs; i++) {
        struct spec s;
        if (!parse(vm->opt.netdev[i], false, &s, e) || !open_one(vm, &s, e)) {
            return err_prefix(e, "-netdev");
        }
    }
    for (unsigned i = 0; i < vm->opt.nnics; i++) {
        if (!open_nic(vm, vm->opt.nic[i], e)) {
            return false;
        }
    }
    return true;
}

const char *nets_card(const struct doppel_vm *vm, unsigned i)
{
    return i < vm->nets->ncards ? vm->nets->card[i] : NULL;
}

bool nets_start(struct doppel_vm *vm, struct err *e)
{
    for (unsigned i = 0; i < vm->nets->n; i++) {
        struct net *n = vm->nets->net[i];
        if (n->gate && n->start && !n->start(n, e)) {
            return false;
        }
    }
    return true;
}

bool nets_go_live(struct doppel_vm *vm, struct err *e)
{
    bool ok = true;
    for (unsigned i = 0; ok && i < vm->nets->n; i++) {
        ok = net_plug_live(vm->nets->net[i], e);
    }
    return ok;
}

void nets_close(struct doppel_vm *vm)
{
    for (unsigned i = 0; vm->nets && i < vm->nets->n; i++) {
        vm->nets->net[i]->close(vm->nets->net[i]);
    }
    free(vm->nets);
    vm->nets = NULL;
}

struct net *nets_find(struct doppel_vm *vm, const char *id)
{
    for (unsigned i = 0; i < vm->nets->n; i++) {
        if (strcmp(vm->nets->net[i]->name, id) == 0) {
            return vm->nets->net[i];
        }
    }
    return NULL;
}

bool nets_live(const struct doppel_vm *vm)
{
    for (unsigned i = 0; i < vm->nets->n; i++) {
        if (vm->nets->net[i]->gate) {
            return true;
        }
    }
    return false;
}

void nets_mute(struct doppel_vm *vm, bool muted)
{
    for (unsigned i = 0; i < vm->nets->n; i++) {
        struct net *n = vm->nets->net[i];
        if (!muted) {
            atomic_store(&n->busy, 0);
        }
        atomic_store(&n->muted, muted);
    }
}

void nets_info(struct doppel_vm *vm, struct mon_out *o)
{
    for (unsigned i = 0; i < vm->nets->n; i++) {
        const struct net *n = vm->nets->net[i];
        char text[1024] = "";
        mon_printf(o, "%s: %s, %02x:%02x:%02x:%02x:%02x:%02x, %s\n", n->name, n->type, n->mac[0],
                   n->mac[1], n->mac[2], n->mac[3], n->mac[4], n->mac[5],
                   n->gate ? vm->gate.sources[n->source].name : "no card");
        if (n->info) {
            n->info(vm->nets->net[i], text, sizeof text);
            mon_printf(o, "%s", text);
        }
    }
}

/* "[NETDEV] tcp:...": the name may be left out where one back end has ports to forward. */
static void forward(struct doppel_vm *vm, const char *args, bool add, struct mon_out *o)
{
    const char *what = add ? "hostfwd_add" : "hostfwd_remove", *spec = strrchr(args, ' ');
    char id[32];
    snprintf(id, sizeof id, "%.*s", spec ? (int)strcspn(args, " ") : 0, args);
    spec = spec ? spec + 1 : args;
    for (unsigned i = 0; *spec && i < vm->nets->n; i++) {
        struct net *n = vm->nets->net[i];
        if (n->forward && (!*id || strcmp(n->name, id) == 0)) {
            struct err e = {""};
            if (!n->forward(n, spec, add, &e)) {
                mon_printf(o, "%s: %s\n", what, e.msg);
            }
            return;
        }
    }
    mon_printf(o,
               *spec ? "%s: there is no such user-mode network\n"
                     : "%s: want [NETDEV] tcp:[HOSTADDR]:PORT-[GUESTADDR]:PORT\n",
               what);
}

void nets_forward_add(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    forward(vm, args, true, o);
}

void nets_forward_remove(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    forward(vm, args, false, o);
}
