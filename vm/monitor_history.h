/*
 * The monitor's commands about the past. Private to vm/.
 */
#ifndef DOPPEL_VM_MONITOR_HISTORY_H
#define DOPPEL_VM_MONITOR_HISTORY_H

struct doppel_vm;
struct mon_out;

void mon_history(struct doppel_vm *vm, const char *args, struct mon_out *o); /* [SIZE|off] */
void mon_goto(struct doppel_vm *vm, const char *args, struct mon_out *o);    /* ICOUNT|end */
void mon_reverse(struct doppel_vm *vm, const char *args, struct mon_out *o); /* [N] */
void mon_last_write(struct doppel_vm *vm, const char *args, struct mon_out *o);
void mon_branch(struct doppel_vm *vm, const char *args, struct mon_out *o);
void mon_info_history(struct doppel_vm *vm, struct mon_out *o);

#endif
