/*
 * The list of device classes, for boards, `-device help` and the fuzzer. The rows are in hw/hw.h.
 */
#include "hw/hw.h"

#include <string.h>

const struct dev_class *const hw_classes[] = {
#define X(name) &name##_class,
    HW_CLASSES(X)
#undef X
        NULL,
};

const struct dev_class *hw_class_find(const char *name)
{
    for (unsigned i = 0; hw_classes[i]; i++) {
        if (strcmp(hw_classes[i]->name, name) == 0) {
            return hw_classes[i];
        }
    }
    return NULL;
}
