/* The distinct merchants of a batch: a hash table over a heap of names, kept from batch to batch. */
#include "kernel.h"

#include <stdlib.h>

#define SLOTS_FIRST 1024
#define HEAP_KEPT_MAX (8u << 20)
#define UNIT 16
#define ID_MAX (UINT32_MAX - 8)

void names_init(Names *names, uint64_t seed) {
    memset(names, 0, sizeof *names);
    names->seed = seed;
}

void names_free(Names *names) {
    free(names->slots);
    free(names->heap);
    free(names->batch);
    names_init(names, names->seed);
}

bool names_begin(Names *names) {
    names->batch_count = 0;
    if (names->heap_used > HEAP_KEPT_MAX || names->epoch == UINT32_MAX) {
        names_free(names);
        names->epoch = 1;
        return true;
    }
    names->epoch++;
    return false;
}

/* Seeded, so that nobody can choose names that collide. */
static inline uint64_t hash_text(uint64_t seed, const char *text, size_t length) {
    uint64_t state = seed ^ length;
    if (length >= 16) {
        size_t at = 0;
        for (; at + 16 < length; at += 16) {
            state = mix(load64(text + at) ^ state, load64(text + at + 8) ^ seed);
        }
        return mix(load64(text + length - 16) ^ state, load64(text + length - 8) ^ seed);
    }
    uint64_t low = load64(text), high = length > 8 ? load64(text + length - 8) : 0;
    if (length < 8) {
        low &= (UINT64_C(1) << 8 * length) - 1;
    }
    return mix(mix(low ^ state, high ^ seed ^ UINT64_C(0x9E3779B97F4A7C15)), seed | 1);
}

static inline bool same_text(const char *one, const char *other, size_t length) {
    if (length < 16) {
        return memcmp(one, other, length) == 0;
    }
    uint64_t differ = 0;
    for (size_t at = 0; at + 16 < length; at += 16) {
        differ |= load64(one + at) ^ load64(other + at);
        differ |= load64(one + at + 8) ^ load64(other + at + 8);
    }
    differ |= load64(one + length - 16) ^ load64(other + length - 16);
    differ |= load64(one + length - 8) ^ load64(other + length - 8);
    return differ == 0;
}

static bool is_digit(char character) { return (unsigned char)(character - '0') < 10; }

/* A bracket or a day, or what may be one: the reference decoder shall say. */
static bool perhaps_reserved(const char *text, size_t length) {
    if (memchr(text, '|', length) != NULL) {
        return true;
    }
    if (length <= 7) {
        return text[0] == '<' || text[0] == '>' || memchr(text, '-', length) != NULL;
    }
    return length == 10 && text[4] == '-' && text[7] == '-' && is_digit(text[0]);
}

static void place(uint64_t *slots, size_t mask, uint64_t entry) {
    size_t slot = (entry >> 32) & mask;
    while (slots[slot] != 0) {
        slot = (slot + 1) & mask;
    }
    slots[slot] = entry;
}

static bool grow_slots(Names *names) {
    size_t old = names->slots == NULL ? 0 : names->slots_mask + 1;
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
    free(names->slots);
    names->slots = slots;
    names->slots_mask = size - 1;
    return true;
}

static bool grow_heap(Names *names, size_t wanted) {
    if (names->heap_used + wanted <= names->heap_size) {
        return true;
    }
    size_t size = names->heap_size == 0 ? 1u << 16 : names->heap_size * 2;
    char *heap = realloc(names->heap, size);
    if (heap == NULL) {
        return false;
    }
    names->heap = heap;
    names->heap_size = size;
    return true;
}

/* The number of a held name in this batch, its next one when the batch had it not yet. */
static uint32_t number_of(Names *names, Name *name, uint32_t unit) {
    if (name->epoch == names->epoch) {
        return name->number;
    }
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

static uint32_t hold(Names *names, uint32_t hash, const char *text, size_t length) {
    if (perhaps_reserved(text, length) || names->held >= ID_MAX) {
        return NAME_UNSURE;
    }
    size_t bytes = (sizeof(Name) + length + UNIT - 1) / UNIT * UNIT;
    if (((size_t)names->held + 1) * 2 > (names->slots == NULL ? 0 : names->slots_mask + 1) && !grow_slots(names)) {
        return NAME_NO_MEMORY;
    }
    if ((names->heap_used + bytes) / UNIT >= UINT32_MAX || !grow_heap(names, bytes)) {
        return NAME_NO_MEMORY;
    }
    uint32_t unit = (uint32_t)(names->heap_used / UNIT);
    Name *name = (Name *)(names->heap + names->heap_used);
    name->epoch = 0;
    name->id = names->held++;
    name->length = (uint32_t)length;
    memcpy(name->name, text, length);
    names->heap_used += bytes;
    place(names->slots, names->slots_mask, (uint64_t)hash << 32 | (unit + 1));
    return number_of(names, name, unit);
}

uint32_t names_number(Names *names, const char *text, size_t length) {
    uint32_t hash = (uint32_t)hash_text(names->seed, text, length);
    if (names->slots != NULL) {
        for (size_t slot = hash & names->slots_mask; names->slots[slot] != 0; slot = (slot + 1) & names->slots_mask) {
            if (names->slots[slot] >> 32 == hash) {
                uint32_t unit = (uint32_t)names->slots[slot] - 1;
                Name *name = (Name *)(names->heap + (size_t)unit * UNIT);
                if (name->length == length && same_text(name->name, text, length)) {
                    return number_of(names, name, unit);
                }
            }
        }
    }
    return hold(names, hash, text, length);
}
