/* What a selection reads of a dictionary. */
#ifndef TILLROLL_PY_DICTIONARY_H
#define TILLROLL_PY_DICTIONARY_H

#include "bindings.h"

#define SELECTED_MAX (1 << 20)

typedef struct {
    Owned owned;
    Dictionary dictionary;
} DictionaryObject;

static inline void name_heap_hold(NameHeap *texts) {
    if (texts != NULL) {
        texts->users++;
    }
}

PyObject *selected(Selection *selection, bool with_counts);

#endif
