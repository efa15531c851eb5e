/* Looking names up. It is done in three steps, of which each asks memory for what the next
 * one reads, so that many lines wait for it together. */
#ifndef TILLROLL_NAMES_H
#define TILLROLL_NAMES_H

#include "kernel.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

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
#if defined(__SSE2__)
    if (length >= 16) {
        __m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(one + length - 16)),
                                      _mm_loadu_si128((const __m128i *)(other + length - 16)));
        for (size_t at = 0; at + 16 < length; at += 16) {
            same = _mm_and_si128(same, _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(one + at)),
                                                      _mm_loadu_si128((const __m128i *)(other + at))));
        }
        return _mm_movemask_epi8(same) == 0xFFFF;
    }
#endif
    return memcmp(one, other, length) == 0;
}

/* First step: the hash of a name, of which eight bytes may be read although it is shorter. */
static inline uint32_t names_hash(const Names *names, const char *text, size_t length) {
    uint32_t hash = (uint32_t)hash_text(names->seed, text, length);
    __builtin_prefetch(&names->slots[hash & names->slots_mask]);
    return hash;
}

/* Second step. */
static inline void names_fetch(const Names *names, uint32_t hash) {
    uint64_t entry = names->slots[hash & names->slots_mask];
    if (entry != 0) {
        const char *name = names->heap + (size_t)((uint32_t)entry - 1) * NAME_UNIT;
        __builtin_prefetch(name);
        __builtin_prefetch(name + 47);
    }
}

/* Third step: the number of a name in the batch; NAME_NEW when it is not held. */
static inline uint32_t names_find(Names *names, uint32_t hash, const char *text, size_t length) {
    uint64_t entry;
    for (size_t slot = hash; (entry = names->slots[slot & names->slots_mask]) != 0; slot++) {
        if (entry >> 32 == hash) {
            uint32_t unit = (uint32_t)entry - 1;
            Name *name = (Name *)(names->heap + (size_t)unit * NAME_UNIT);
            if (name->length == length && same_text(name->name, text, length)) {
                return name->epoch == names->epoch ? name->number : names_number(names, name, unit);
            }
        }
    }
    return NAME_NEW;
}

#endif
