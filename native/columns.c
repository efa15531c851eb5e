/* Columns of numbers: narrowing to the fewest bytes, widening, picking. */
#include "kernel.h"

#include <stdlib.h>

/* A function that is compiled for wide vectors too; the loader takes the one that the processor has the instructions for.
 * Sanitizers are not there yet when it does. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

/* Call a macro with the type of each width. */
#define BY_WIDTH(width, DO)     \
    switch (width) {            \
    case 1:                     \
        DO(uint8_t) break;      \
    case 2:                     \
        DO(uint16_t) break;     \
    case 4:                     \
        DO(uint32_t) break;     \
    default:                    \
        DO(uint64_t) break;     \
    }

WIDE uint64_t largest_unsigned(const void *values, int width, size_t count) {
    uint64_t largest = 0;
#define LARGEST(type)                                           \
    {                                                           \
        type most = 0;                                          \
        for (size_t i = 0; i < count; i++) {                    \
            type value = ((const type *)values)[i];             \
            most = value > most ? value : most;                 \
        }                                                       \
        largest = most;                                         \
    }
    BY_WIDTH(width, LARGEST)
    return largest;
}

static inline void widen_bounds(int64_t value, int64_t *least, int64_t *largest) {
    *least = value < *least ? value : *least;
    *largest = value > *largest ? value : *largest;
}

/* In lanes, so that a comparison need not wait for that of the value before. */
void bounds_signed(const int64_t *values, size_t count, int64_t *least, int64_t *largest) {
    enum { LANES = 4 };
    int64_t lows[LANES] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
    int64_t highs[LANES] = {INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            widen_bounds(values[i + lane], &lows[lane], &highs[lane]);
        }
    }
    for (; i < count; i++) {
        widen_bounds(values[i], &lows[0], &highs[0]);
    }
    for (size_t lane = 1; lane < LANES; lane++) {
        lows[0] = lows[lane] < lows[0] ? lows[lane] : lows[0];
        highs[0] = highs[lane] > highs[0] ? highs[lane] : highs[0];
    }
    *least = lows[0];
    *largest = highs[0];
}

int width_for(uint64_t largest) {
    return largest == 0 ? 0 : largest < 1 << 8 ? 1 : largest < 1 << 16 ? 2 : largest >> 32 == 0 ? 4 : 8;
}

/* Stored integers are little-endian. */
static void turn(unsigned char *data, int width, size_t count) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (size_t i = 0; i < count; i++, data += width) {
        for (int low = 0, high = width - 1; low < high; low++, high--) {
            unsigned char byte = data[low];
            data[low] = data[high];
            data[high] = byte;
        }
    }
#else
    (void)data, (void)width, (void)count;
#endif
}

/* Bytes may stand at any address, so they are read and written by memcpy, which compiles to plain moves. */
#define STORE_LESS_BASE(type)                                           \
    for (size_t i = 0; i < count; i++) {                                \
        type value = (type)((uint64_t)values[i] - (uint64_t)base);      \
        memcpy(out + i * sizeof value, &value, sizeof value);           \
    }

void narrow_signed(const int64_t *values, size_t count, int64_t base, int width, unsigned char *out) {
    BY_WIDTH(width, STORE_LESS_BASE)
    turn(out, width, count);
}

WIDE void narrow_unsigned(const void *column, int from, size_t count, uint64_t base, int width, unsigned char *out) {
#define NARROW_FROM(from_type)                          \
    {                                                   \
        const from_type *values = column;               \
        switch (width) {                                \
        case 1:                                         \
            STORE_LESS_BASE(uint8_t) break;             \
        case 2:                                         \
            STORE_LESS_BASE(uint16_t) break;            \
        case 4:                                         \
            STORE_LESS_BASE(uint32_t) break;            \
        default:                                        \
            STORE_LESS_BASE(uint64_t) break;            \
        }                                               \
    }
    BY_WIDTH(from, NARROW_FROM)
    turn(out, width, count);
}

#define WIDEN_TO(to_type)                                       \
    {                                                           \
        to_type *values = out;                                  \
        switch (width) {                                        \
        case 0:                                                 \
            for (size_t i = 0; i < count; i++) {                \
                values[i] = (to_type)base;                      \
            }                                                   \
            break;                                              \
        case 1:                                                 \
            LOAD_PLUS_BASE(to_type, uint8_t) break;             \
        case 2:                                                 \
            LOAD_PLUS_BASE(to_type, uint16_t) break;            \
        case 4:                                                 \
            LOAD_PLUS_BASE(to_type, uint32_t) break;            \
        default:                                                \
            LOAD_PLUS_BASE(to_type, uint64_t) break;            \
        }                                                       \
    }
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LOAD_PLUS_BASE(to_type, type)                                                    \
    for (size_t i = 0; i < count; i++) {                                                 \
        values[i] = (to_type)(stored_at(data, (int)sizeof(type), i) + base);             \
    }
#else
#define LOAD_PLUS_BASE(to_type, type)                                   \
    for (size_t i = 0; i < count; i++) {                                \
        type value;                                                     \
        memcpy(&value, data + i * sizeof value, sizeof value);          \
        values[i] = (to_type)(value + base);                            \
    }
#endif

/* Modulo the width of the result: whether every value fits is for the caller to know. */
void widen(const unsigned char *data, int width, size_t count, uint64_t base, int to, void *out) {
    BY_WIDTH(to, WIDEN_TO)
}

uint64_t stored_at(const unsigned char *data, int width, size_t index) {
    uint64_t value = 0;
    for (int byte = width - 1; byte >= 0; byte--) {
        value = value << 8 | data[index * (size_t)width + (size_t)byte];
    }
    return value;
}

void pick(const void *column, int width, const uint32_t *indexes, size_t count, void *out) {
#define PICK(type)                                      \
    {                                                   \
        const type *values = column;                    \
        type *picked = out;                             \
        for (size_t i = 0; i < count; i++) {            \
            picked[i] = values[indexes[i]];             \
        }                                               \
    }
    BY_WIDTH(width, PICK)
}

/* Between items and their bytes apart: all first bytes, then all second ones. Some at a time, while they are near; for a
 * constant width the compiler takes many at once. */
#define SOME 1024
#define EACH_BYTE(width, to, from)                                              \
    for (size_t start = 0; start < count; start += SOME) {                      \
        size_t stop = count - start < SOME ? count : start + SOME;              \
        for (size_t byte = 0; byte < (width); byte++) {                         \
            for (size_t i = start; i < stop; i++) {                             \
                out[to] = data[from];                                           \
            }                                                                   \
        }                                                                       \
    }

void shuffle(const unsigned char *data, int width, size_t count, unsigned char *out) {
#define SHUFFLE(type) EACH_BYTE(sizeof(type), byte * count + i, i * sizeof(type) + byte)
    BY_WIDTH(width, SHUFFLE)
}

void unshuffle(const unsigned char *data, int width, size_t count, unsigned char *out) {
#define UNSHUFFLE(type) EACH_BYTE(sizeof(type), i * sizeof(type) + byte, byte * count + i)
    BY_WIDTH(width, UNSHUFFLE)
}

/* A constant divisor compiles to a multiplication. */
void windows_of(const int64_t *seconds, size_t count, int64_t largest, int64_t first, uint32_t length, uint32_t *windows) {
    uint64_t start = (uint64_t)first * length;
#define DIVIDE(type, divisor)                                                     \
    for (size_t i = 0; i < count; i++) {                                          \
        windows[i] = (uint32_t)((type)((uint64_t)seconds[i] - start) / (divisor)); \
    }
    if (count != 0 && (uint64_t)largest - start > UINT32_MAX) {
        DIVIDE(uint64_t, length)
    } else if (length == 3600) {
        DIVIDE(uint32_t, 3600u)
    } else if (length == 86400) {
        DIVIDE(uint32_t, 86400u)
    } else {
        DIVIDE(uint32_t, length)
    }
}

/* The piece of the value before is tried first: purchases come nearly in order. */
void shift(const int64_t *values, size_t count, const int64_t *starts, const int64_t *shifts, size_t pieces, int64_t *out) {
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t value = values[i];
        if ((at != 0 && value < starts[at]) || (at + 1 < pieces && value >= starts[at + 1])) {
            size_t low = 0, high = pieces;
            while (high - low > 1) {
                size_t middle = low + (high - low) / 2;
                if (starts[middle] <= value) {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            at = low;
        }
        out[i] = (int64_t)((uint64_t)value + (uint64_t)shifts[at]);
    }
}

void accepts(const void *codes, int width, size_t count, const uint8_t *table, uint8_t *mask) {
    for (size_t i = 0; i < count; i++) {
        mask[i] = table[width == 1 ? ((const uint8_t *)codes)[i] : ((const uint32_t *)codes)[i]];
    }
}

#define FEW_BOUNDS 8

/* Few bounds below 2^31: every value is compared with all, as 32 bits, of which a processor compares many at once. */
WIDE static void bucketize_few(const int64_t *values, size_t count, const int32_t *bounds, size_t bounds_count,
                          uint8_t *buckets) {
    int32_t cut[SOME], found[SOME];
    for (size_t start = 0; start < count; start += SOME) {
        size_t some = count - start < SOME ? count - start : SOME;
        for (size_t i = 0; i < some; i++) {
            int64_t value = values[start + i];
            cut[i] = value < INT32_MIN ? INT32_MIN : value > INT32_MAX ? INT32_MAX : (int32_t)value;
            found[i] = 0;
        }
        for (size_t bound = 0; bound < bounds_count; bound++) {
            int32_t floor = bounds[bound];
            for (size_t i = 0; i < some; i++) {
                found[i] += cut[i] >= floor;
            }
        }
        for (size_t i = 0; i < some; i++) {
            buckets[start + i] = (uint8_t)found[i];
        }
    }
}

void bucketize(const int64_t *values, size_t count, const int64_t *bounds, size_t bounds_count, uint8_t *buckets) {
    int32_t few[FEW_BOUNDS];
    bool small = bounds_count <= FEW_BOUNDS;
    for (size_t i = 0; small && i < bounds_count; i++) {
        small = bounds[i] > INT32_MIN && bounds[i] < INT32_MAX;
        few[i] = (int32_t)bounds[i];
    }
    if (small) {
        bucketize_few(values, count, few, bounds_count, buckets);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        size_t low = 0, high = bounds_count;
        while (low < high) {
            size_t middle = (low + high) / 2;
            bool above = values[i] >= bounds[middle];
            low = above ? middle + 1 : low;
            high = above ? high : middle;
        }
        buckets[i] = (uint8_t)low;
    }
}
