/* Identities: names of events hashed under a store's key, in the order of an index, and events compared by columns. */
#include "kernel.h"

#include <stdlib.h>

/* SipHash-1-3 (Aumasson and Bernstein, 2012; one round a word and three at the end, as Python hashes text): whoever does
 * not know the key cannot choose names that share a hash. */

static inline uint64_t turned(uint64_t word, int bits) { return word << bits | word >> (64 - bits); }

static inline void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = turned(v[1], 13) ^ v[0];
    v[3] = turned(v[3], 16) ^ v[2];
    v[0] = turned(v[0], 32) + v[3];
    v[2] += v[1];
    v[3] = turned(v[3], 21) ^ v[0];
    v[1] = turned(v[1], 17) ^ v[2];
    v[2] = turned(v[2], 32);
}

static inline void sip_word(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

int64_t hash_name(NameKey key, const EventName *name) {
    uint64_t v[4] = {key.low ^ UINT64_C(0x736F6D6570736575), key.high ^ UINT64_C(0x646F72616E646F6D),
                     key.low ^ UINT64_C(0x6C7967656E657261), key.high ^ UINT64_C(0x7465646279746573)};
    sip_word(v, name->kind | (uint64_t)name->nanos << 8);
    sip_word(v, (uint64_t)name->second);
    sip_word(v, name->position);
    const char *value = name->value;
    size_t left = name->length;
    for (; left >= 8; value += 8, left -= 8) {
        sip_word(v, load64(value));
    }
    uint64_t last = (uint64_t)(name->length + 24) << 56;
    for (size_t byte = 0; byte < left; byte++) {
        last |= (uint64_t)(unsigned char)value[byte] << 8 * byte;
    }
    sip_word(v, last);
    v[2] ^= 0xFF;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return (int64_t)(v[0] ^ v[1] ^ v[2] ^ v[3]);
}

static bool comes_before(const NameRow *one, const NameRow *other) {
    return one->minute != other->minute ? one->minute < other->minute
           : one->hash != other->hash   ? one->hash < other->hash
                                        : one->index < other->index;
}

/* In place; quick where rows are few or nearly sorted. */
static void insert_rows(NameRow *rows, size_t count) {
    for (size_t i = 1; i < count; i++) {
        NameRow row = rows[i];
        size_t to = i;
        for (; to > 0 && comes_before(&row, &rows[to - 1]); to--) {
            rows[to] = rows[to - 1];
        }
        rows[to] = row;
    }
}

#define DIGIT_BITS 11
#define DIGITS (1 << DIGIT_BITS)
#define HASH_BITS (3 * DIGIT_BITS) /* of the hash are sorted by; rows that share them are few and next to each other then */

/* A row's minute, counted from the least, or the highest bits of its hash as an unsigned number. */
static inline uint64_t sorted_by(const NameRow *row, bool by_minute, int64_t least) {
    return by_minute ? (uint64_t)row->minute - (uint64_t)least
                     : ((uint64_t)row->hash ^ UINT64_C(1) << 63) >> (64 - HASH_BITS);
}

static void sort_digit(const NameRow *rows, size_t count, bool by_minute, int64_t least, int shift, NameRow *out) {
    size_t starts[DIGITS + 1] = {0};
    for (size_t i = 0; i < count; i++) {
        starts[(sorted_by(&rows[i], by_minute, least) >> shift & (DIGITS - 1)) + 1]++;
    }
    for (int digit = 0; digit < DIGITS; digit++) {
        starts[digit + 1] += starts[digit];
    }
    for (size_t i = 0; i < count; i++) {
        out[starts[sorted_by(&rows[i], by_minute, least) >> shift & (DIGITS - 1)]++] = rows[i];
    }
}

/* Sort by radix, from the hash's lowest bits up to the minute's highest; false when there is no memory. */
static bool sort_rows(NameRow *rows, size_t count) {
    NameRow *from = rows, *to = count < 64 ? NULL : malloc(count * sizeof *rows), *spare = to;
    if (to != NULL) {
        int64_t least = rows[0].minute, largest = least;
        for (size_t i = 1; i < count; i++) {
            least = rows[i].minute < least ? rows[i].minute : least;
            largest = rows[i].minute > largest ? rows[i].minute : largest;
        }
        uint64_t span = (uint64_t)largest - (uint64_t)least;
        int minute_bits = 0;
        while (minute_bits < 64 && span >> minute_bits != 0) {
            minute_bits += DIGIT_BITS;
        }
        for (int bit = 0; bit < HASH_BITS + minute_bits; bit += DIGIT_BITS) {
            bool by_minute = bit >= HASH_BITS;
            sort_digit(from, count, by_minute, least, by_minute ? bit - HASH_BITS : bit, to);
            NameRow *sorted = to;
            to = from;
            from = sorted;
        }
        if (from != rows) {
            memcpy(rows, from, count * sizeof *rows);
        }
        free(spare);
    } else if (count >= 64) {
        return false;
    }
    insert_rows(rows, count);
    return true;
}

Status name_rows(NameKey key, const Named *events, NameRow *rows, size_t *count) {
    size_t used = 0, run = 0, stop = events->runs == 0 ? 0 : events->run_events[0];
    for (size_t i = 0; i < events->count; i++) {
        while (i == stop) {
            stop += events->run_events[++run];
        }
        uint32_t start = events->id_ends == NULL || i == 0 ? 0 : events->id_ends[i - 1];
        EventName name = {.second = events->seconds[i], .nanos = events->nanos[i], .kind = NAME_ID};
        if (events->id_ends != NULL && events->id_ends[i] != start) {
            name.value = events->ids + start;
            name.length = events->id_ends[i] - start;
        } else {
            uint32_t from = run == 0 ? 0 : events->run_ends[run - 1];
            name.kind = events->run_kinds[run];
            name.value = events->run_values + from;
            name.length = events->run_ends[run] - from;
            name.position = events->positions[i];
        }
        if (name.kind == NAME_ID || name.kind == NAME_KEY || name.kind == NAME_MESSAGE) {
            int64_t minute = name.second / 60 - (name.second % 60 < 0);
            rows[used++] = (NameRow){(int64_t)i, minute, hash_name(key, &name)};
        }
    }
    *count = used;
    return sort_rows(rows, used) ? DONE : NO_MEMORY;
}

size_t same_slots(const NameRow *rows, size_t count, uint32_t *later, uint32_t *first) {
    size_t used = 0, head = 0;
    for (size_t i = 1; i < count; i++) {
        if (rows[i].minute == rows[head].minute && rows[i].hash == rows[head].hash) {
            later[used] = (uint32_t)rows[i].index;
            first[used++] = (uint32_t)rows[head].index;
        } else {
            head = i;
        }
    }
    return used;
}

size_t intersect(const uint64_t *one, size_t count, const uint64_t *other, size_t other_count, uint32_t *at,
                 uint32_t *other_at) {
    size_t used = 0;
    for (size_t i = 0, j = 0; i < count && j < other_count;) {
        if (one[i] == other[j]) {
            at[used] = (uint32_t)i++;
            other_at[used++] = (uint32_t)j++;
        } else if (one[i] < other[j]) {
            i++;
        } else {
            j++;
        }
    }
    return used;
}

#define EQUAL(type)                                                 \
    for (size_t i = 0; i < count; i++) {                            \
        out[i] = ((const type *)one)[at[i]] == ((const type *)other)[other_at[i]]; \
    }

void equal_at(const void *one, const uint32_t *at, const void *other, const uint32_t *other_at, int width, size_t count,
              char *out) {
    switch (width) {
    case 1:
        EQUAL(uint8_t)
        break;
    case 2:
        EQUAL(uint16_t)
        break;
    case 4:
        EQUAL(uint32_t)
        break;
    default:
        EQUAL(uint64_t)
        break;
    }
}

void equal_strings_at(const uint32_t *ends, const char *heap, const uint32_t *at, const uint32_t *other_ends,
                      const char *other_heap, const uint32_t *other_at, size_t count, char *out) {
    for (size_t i = 0; i < count; i++) {
        uint32_t start = at[i] == 0 ? 0 : ends[at[i] - 1], length = ends[at[i]] - start;
        uint32_t other_start = other_at[i] == 0 ? 0 : other_ends[other_at[i] - 1];
        out[i] = other_ends[other_at[i]] - other_start == length &&
                 (length == 0 || memcmp(heap + start, other_heap + other_start, length) == 0);
    }
}
