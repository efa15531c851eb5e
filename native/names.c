/* Distinct names: a hash table over a heap of them, kept from batch to batch. */
#include "names.h"

#include <stdlib.h>

#define SLOTS_FIRST 1024
#define HEAP_KEPT_MAX (8u << 20)

static uint64_t no_slots[1]; /* of a table that holds nothing; never written to */

void names_init(Names *names, uint64_t seed) {
    memset(names, 0, sizeof *names);
    names->seed = seed;
    names->slots = no_slots;
}

void names_free(Names *names) {
    if (names->slots != no_slots) {
        free(names->slots);
    }
    free(names->heap);
    free(names->batch);
    names_init(names, names->seed);
}

void names_begin(Names *names) {
    if (names->heap_used > HEAP_KEPT_MAX || names->epoch == UINT32_MAX) {
        names_free(names);
    }
    names->batch_count = 0;
    names->epoch++;
}

static void place(uint64_t *slots, size_t mask, uint64_t entry) {
    size_t slot = (entry >> 32) & mask;
    while (slots[slot] != 0) {
        slot = (slot + 1) & mask;
    }
    slots[slot] = entry;
}

static bool grow_slots(Names *names) {
    size_t old = names->slots == no_slots ? 0 : names->slots_mask + 1;
    size_t size = old == 0 ? SLOTS_FIRST : old * 2;
    uint64_t *slots = calloc(size, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (size_t slot = 0; slot < old; slot++) {
        if (names->slots[slot] != 0) {
            place(slots, size - 1, names->slots[slot]);
        }
    }
    if (old != 0) {
        free(names->slots);
    }
    names->slots = slots;
    names->slots_mask = size - 1;
    return true;
}

static bool grow_heap(Names *names, size_t wanted) {
    if (names->heap_used + wanted <= names->heap_size) {
        return true;
    }
    size_t size = names->heap_size == 0 ? 1u << 16 : names->heap_size * 2;
    while (size < names->heap_used + wanted) {
        size *= 2;
    }
    char *heap = realloc(names->heap, size);
    if (heap == NULL) {
        return false;
    }
    names->heap = heap;
    names->heap_size = size;
    return true;
}

uint32_t names_number(Names *names, Name *name, uint32_t unit) {
    if (names->batch_count == names->batch_size) {
        uint32_t size = names->batch_size == 0 ? 256 : names->batch_size * 2;
        uint32_t *batch = realloc(names->batch, size * sizeof *batch);
        if (batch == NULL) {
            return NAME_NO_MEMORY;
        }
        names->batch = batch;
        names->batch_size = size;
    }
    name->epoch = names->epoch;
    name->number = names->batch_count;
    names->batch[names->batch_count] = unit;
    return names->batch_count++;
}

uint32_t names_hold(Names *names, uint32_t hash, const char *text, size_t length) {
    size_t bytes = (sizeof(Name) + length + NAME_UNIT - 1) / NAME_UNIT * NAME_UNIT;
    if (((size_t)names->held + 1) * 2 > names->slots_mask + 1 && !grow_slots(names)) {
        return NAME_NO_MEMORY;
    }
    if ((names->heap_used + bytes) / NAME_UNIT >= UINT32_MAX || !grow_heap(names, bytes)) {
        return NAME_NO_MEMORY;
    }
    uint32_t unit = (uint32_t)(names->heap_used / NAME_UNIT);
    Name *name = (Name *)(names->heap + names->heap_used);
    name->length = (uint32_t)length;
    memcpy(name->name, text, length);
    uint32_t number = names_number(names, name, unit);
    if (number != NAME_NO_MEMORY) {
        names->heap_used += bytes;
        names->held++;
        place(names->slots, names->slots_mask, (uint64_t)hash << 32 | (unit + 1));
    }
    return number;
}

size_t names_size(const Names *names) {
    size_t size = 0;
    for (uint32_t number = 0; number < names->batch_count; number++) {
        size += names_at(names, number)->length;
    }
    return size;
}

void names_write(const Names *names, uint32_t *ends, char *heap) {
    uint32_t end = 0;
    for (uint32_t number = 0; number < names->batch_count; number++) {
        const Name *name = names_at(names, number);
        memcpy(heap + end, name->name, name->length);
        ends[number] = end += name->length;
    }
}
