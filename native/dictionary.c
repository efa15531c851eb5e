/* Distinct names, numbered for good in the order they were added. */
#include "names.h"

#include <stdlib.h>

#define SLOTS_FIRST 1024
#define SOME 32 /* names that are looked up together, so that memory answers many at once */

static uint64_t no_slots[1]; /* of a dictionary that holds nothing; never written to */

void dictionary_init(Dictionary *dictionary, uint64_t seed) {
    memset(dictionary, 0, sizeof *dictionary);
    dictionary->seed = seed;
    dictionary->slots = no_slots;
}

void name_heap_release(NameHeap *texts) {
    if (texts != NULL && --texts->users == 0) {
        free(texts->heap);
        free(texts->ends);
        free(texts);
    }
}

void dictionary_free(Dictionary *dictionary) {
    if (dictionary->slots != no_slots) {
        free(dictionary->slots);
    }
    name_heap_release(dictionary->texts);
    dictionary_init(dictionary, dictionary->seed);
}

static void place(uint64_t *slots, size_t mask, uint64_t entry) {
    size_t slot = (entry >> 32) & mask;
    while (slots[slot] != 0) {
        slot = (slot + 1) & mask;
    }
    slots[slot] = entry;
}

static bool grow_slots(Dictionary *dictionary) {
    size_t old = dictionary->slots == no_slots ? 0 : dictionary->slots_mask + 1;
    size_t size = old == 0 ? SLOTS_FIRST : old * 2;
    uint64_t *slots = calloc(size, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (size_t slot = 0; slot < old; slot++) {
        if (dictionary->slots[slot] != 0) {
            place(slots, size - 1, dictionary->slots[slot]);
        }
    }
    if (old != 0) {
        free(dictionary->slots);
    }
    dictionary->slots = slots;
    dictionary->slots_mask = size - 1;
    return true;
}

/* As much room as is wanted, half as much again as there was; those who read the old texts go on reading them. */
static bool grow_texts(Dictionary *dictionary, uint64_t count, uint64_t bytes) {
    NameHeap *old = dictionary->texts, *texts = old;
    if (old != NULL && count < old->ends_size && bytes <= old->heap_size) {
        return true;
    }
    uint64_t ends_size = old == NULL ? 256 : old->ends_size, heap_size = old == NULL ? 4096 : old->heap_size;
    ends_size = count < ends_size ? ends_size : count + count / 2 + 1;
    heap_size = bytes <= heap_size ? heap_size : bytes + bytes / 2;
    if (old == NULL || old->users > 1) {
        texts = calloc(1, sizeof *texts);
        if (texts == NULL) {
            return false;
        }
        texts->users = 1;
    }
    char *heap = realloc(texts->heap, heap_size);
    texts->heap = heap == NULL ? texts->heap : heap;
    uint32_t *ends = heap == NULL ? NULL : realloc(texts->ends, ends_size * sizeof *ends);
    texts->ends = ends == NULL ? texts->ends : ends;
    if (ends == NULL) {
        if (texts != old) {
            name_heap_release(texts);
        }
        return false;
    }
    texts->heap_size = heap_size;
    texts->ends_size = ends_size;
    if (texts != old) {
        texts->ends[0] = 0;
        if (old != NULL) {
            memcpy(texts->ends, old->ends, ((size_t)dictionary->count + 1) * sizeof *ends);
            memcpy(texts->heap, old->heap, old->ends[dictionary->count]);
            name_heap_release(old);
        }
        dictionary->texts = texts;
    }
    return true;
}

/* Hash the names of a column from `first` up to `stop`. The hash of a short one reads eight bytes. */
static void hash_some(const Dictionary *dictionary, const uint32_t *ends, size_t count, const char *heap, size_t first,
                      size_t stop, uint32_t *hashes) {
    for (size_t i = first; i < stop; i++) {
        uint32_t start = i == 0 ? 0 : ends[i - 1], length = ends[i] - start;
        if (ends[count - 1] - start >= 8) {
            hashes[i - first] = (uint32_t)hash_text(dictionary->seed, heap + start, length);
        } else {
            char padded[8] = {0};
            memcpy(padded, heap + start, length);
            hashes[i - first] = (uint32_t)hash_text(dictionary->seed, padded, length & 7);
        }
        __builtin_prefetch(&dictionary->slots[hashes[i - first] & dictionary->slots_mask]);
    }
}

static void fetch(const Dictionary *dictionary, uint32_t hash) {
    uint64_t entry = dictionary->slots[hash & dictionary->slots_mask];
    if (entry != 0) {
        __builtin_prefetch(&dictionary->texts->ends[(uint32_t)entry - 1]);
    }
}

static uint32_t number_of(const Dictionary *dictionary, uint32_t hash, const char *text, size_t length) {
    uint64_t entry;
    for (size_t slot = hash; (entry = dictionary->slots[slot & dictionary->slots_mask]) != 0; slot++) {
        if (entry >> 32 == hash) {
            uint32_t number = (uint32_t)entry - 1, start = dictionary->texts->ends[number];
            if (dictionary->texts->ends[number + 1] - start == length &&
                same_text(dictionary->texts->heap + start, text, length)) {
                return number;
            }
        }
    }
    return NAME_NEW;
}

void dictionary_find_all(const Dictionary *dictionary, const uint32_t *ends, size_t count, const char *heap,
                         uint32_t *numbers) {
    uint32_t hashes[SOME];
    for (size_t first = 0, stop; first < count; first = stop) {
        stop = count - first < SOME ? count : first + SOME;
        hash_some(dictionary, ends, count, heap, first, stop, hashes);
        for (size_t i = first; i < stop; i++) {
            fetch(dictionary, hashes[i - first]);
        }
        for (size_t i = first; i < stop; i++) {
            uint32_t start = i == 0 ? 0 : ends[i - 1];
            numbers[i] = number_of(dictionary, hashes[i - first], heap + start, ends[i] - start);
        }
    }
}

Status dictionary_add_all(Dictionary *dictionary, const uint32_t *ends, size_t count, const char *heap) {
    uint64_t held = dictionary->count == 0 ? 0 : dictionary->texts->ends[dictionary->count];
    uint64_t names = dictionary->count + (uint64_t)count, bytes = held + (count == 0 ? 0 : ends[count - 1]);
    if (names >= NAME_NEW - 1 || bytes > UINT32_MAX || !grow_texts(dictionary, names, bytes)) {
        return NO_MEMORY;
    }
    NameHeap *texts = dictionary->texts;
    for (size_t i = 0; i < count; i++) {
        uint32_t hash, start = i == 0 ? 0 : ends[i - 1], length = ends[i] - start, number = dictionary->count;
        if (((size_t)number + 1) * 2 > dictionary->slots_mask + 1 && !grow_slots(dictionary)) {
            return NO_MEMORY;
        }
        hash_some(dictionary, ends, count, heap, i, i + 1, &hash);
        if (number_of(dictionary, hash, heap + start, length) != NAME_NEW) {
            return INVALID;
        }
        memcpy(texts->heap + texts->ends[number], heap + start, length);
        texts->ends[number + 1] = texts->ends[number] + length;
        place(dictionary->slots, dictionary->slots_mask, (uint64_t)hash << 32 | (number + 1));
        dictionary->count++;
    }
    return DONE;
}
