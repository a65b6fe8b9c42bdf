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

#include "host/net_user.h"
#include "vm/monitor_info.h"
#include "vm/vm.h"

enum { MAX_NETS = 2 * DOPPEL_MAX_NICS };

struct nets {
    struct net *net[MAX_NETS];
    unsigned n;
    char card[DOPPEL_MAX_NICS][128]; /* "ne2k_pci,netdev=net0,mac=..." */
    unsigned ncards;
};

struct spec {
    char type[16], id[32], model[24], mac[32];
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
        } else {
            snprintf(s->rest + used, sizeof s->rest - used, "%s%s", used ? "," : "", item);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool open_one(struct doppel_vm *vm, struct spec *s, struct err *e)
{
    struct nets *ns = vm->nets;
    if (strcmp(s->type, "user") != 0) {
        return err_usage(e, "%s: no such back end; there is user, and none", s->type);
    }
    if (!*s->id) {
        snprintf(s->id, sizeof s->id, "net%u", ns->n);
    }
    if (nets_find(vm, s->id)) {
        return err_usage(e, "id=%s: there are two of that name", s->id);
    }
    struct net *n = net_user_open(s->rest, e);
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

static bool open_nic(struct doppel_vm *vm, const char *text, struct err *e)
{
    struct nets *ns = vm->nets;
    struct spec s;
    if (strcmp(text, "none") == 0) {
        return true;
    }
    if (!parse(text, true, &s, e) || !open_one(vm, &s, e)) {
        return err_prefix(e, "-nic");
    }
    snprintf(ns->card[ns->ncards++], sizeof ns->card[0], "%s,netdev=%s%s%s",
             *s.model ? s.model : "ne2k_pci", s.id, *s.mac ? ",mac=" : "", s.mac);
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
        if (n->gate && !net_user_start(n, e)) {
            return false;
        }
    }
    return true;
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

void nets_info(struct doppel_vm *vm, struct mon_out *o)
{
    for (unsigned i = 0; i < vm->nets->n; i++) {
        const struct net *n = vm->nets->net[i];
        mon_printf(o, "%s: user, %02x:%02x:%02x:%02x:%02x:%02x, %s\n", n->name, n->mac[0],
                   n->mac[1], n->mac[2], n->mac[3], n->mac[4], n->mac[5],
                   n->gate ? vm->gate.sources[n->source].name : "no card");
    }
}
