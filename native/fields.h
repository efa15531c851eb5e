/* The fields of an event, each read from its text when it is certain, and left to the reference decoder when it is not.
 *
 * Each reader takes where its text begins, may read PADDING bytes from the last that it takes, and returns where it
 * stands then, NULL when it is not certain.
 */
#ifndef TILLROLL_FIELDS_H
#define TILLROLL_FIELDS_H

#include "kernel.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define PADDING 64 /* more than any single step reads past the end of a line */

typedef struct {
    int64_t seconds, amount;
    uint32_t nanos;
    uint8_t method;
    const char *merchant, *id;
    size_t merchant_length, id_length;
    const KeptValue *kept;
    size_t kept_count;
} Fields;

/* How many bytes from `at` on are printable ASCII and neither a quote nor a backslash. Stops at zeros and line feeds, and
 * soon after `most`. */
static inline size_t plain_length(const char *at, size_t most) {
    const char *start = at;
#if defined(__SSE2__)
    for (; (size_t)(at - start) <= most; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)at);
        __m128i special = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)); /* signed: bytes from 0x80 on too */
        special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
        special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
        special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7F)));
        int mask = _mm_movemask_epi8(special);
        if (mask != 0) {
            return (size_t)(at - start) + (size_t)__builtin_ctz((unsigned)mask);
        }
    }
#else
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    for (; (size_t)(at - start) <= most; at += 8) {
        uint64_t bytes = load64(at), quote = bytes ^ ones * '"', slash = bytes ^ ones * '\\', del = bytes ^ ones * 0x7F;
        uint64_t special = bytes | ((bytes - ones * 0x20) & ~bytes);
        special |= ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((del - ones) & ~del);
        special &= tops; /* above the lowest there may be false ones; it itself is true */
        if (special != 0) {
            return (size_t)(at - start) + (size_t)__builtin_ctzll(special) / 8;
        }
    }
#endif
    return (size_t)(at - start);
}

/* Days from 1970-01-01 to a day of the proleptic Gregorian calendar; INT64_MIN when there is no such day. */
static inline int64_t days_of(unsigned year, unsigned month, unsigned day) {
    static const uint16_t before[14] = {0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    if (month - 1 > 11 || year == 0) {
        return INT64_MIN;
    }
    unsigned leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    unsigned length = (unsigned)(before[month + 1] - before[month]) + (month == 2 ? leap : 0);
    if (day - 1 >= length) {
        return INT64_MIN;
    }
    unsigned last = year - 1;
    return (int64_t)(365 * last + last / 4 - last / 100 + last / 400 + before[month] + (month > 2 ? leap : 0) + day) -
           719163;
}

#define TEXT8(a, b, c, d, e, f, g, h)                                                                            \
    ((uint64_t)(a) | (uint64_t)(b) << 8 | (uint64_t)(c) << 16 | (uint64_t)(d) << 24 | (uint64_t)(e) << 32 |      \
     (uint64_t)(f) << 40 | (uint64_t)(g) << 48 | (uint64_t)(h) << 56)

/* Read `YYYY-MM-DDThh:mm:ss`. The digits are found by XOR with the shape of the text, which leaves 0 to 9 for a digit
 * and 0 for a separator; adding 0x76 or 0x7F then carries into the top bit of every byte that is anything else. */
static inline bool parse_seconds(const char *at, int64_t *seconds) {
    uint64_t first = load64(at) ^ TEXT8('0', '0', '0', '0', '-', '0', '0', '-');
    uint64_t second = load64(at + 8) ^ TEXT8('0', '0', 'T', '0', '0', ':', '0', '0');
    uint64_t third = (load32(at + 15) >> 8) ^ TEXT8(':', '0', '0', 0, 0, 0, 0, 0);
    uint64_t wrong = first | (first + TEXT8(0x76, 0x76, 0x76, 0x76, 0x7F, 0x76, 0x76, 0x7F));
    wrong |= second | (second + TEXT8(0x76, 0x76, 0x7F, 0x76, 0x76, 0x7F, 0x76, 0x76));
    wrong |= third | (third + TEXT8(0x7F, 0x76, 0x76, 0, 0, 0, 0, 0));
    if (wrong & UINT64_C(0x8080808080808080)) {
        return false;
    }
    first = first * 10 + (first >> 8); /* each byte: ten times its digit and the next one's */
    second = second * 10 + (second >> 8);
    third = third * 10 + (third >> 8);
    unsigned year = (unsigned)(first & 0xFF) * 100 + (unsigned)(first >> 16 & 0xFF);
    unsigned hour = second >> 24 & 0xFF, minute = second >> 48 & 0xFF, instant = third >> 8 & 0xFF;
    int64_t days = days_of(year, first >> 40 & 0xFF, second & 0xFF);
    if (days == INT64_MIN || hour > 23 || minute > 59 || instant > 59) {
        return false;
    }
    *seconds = days * 86400 + hour * 3600 + minute * 60 + instant;
    return true;
}

/* The last minute that was read: `YYYY-MM-DDThh:mm`. Most lines are of the same one as the line before. */
typedef struct {
    uint64_t text[2];
    int64_t seconds;
} Minute;

/* Read `YYYY-MM-DDThh:mm:ss`, quicker when it is of the last minute. */
static inline bool parse_seconds_after(const char *at, Minute *last, int64_t *seconds) {
    unsigned tens = (unsigned char)at[17] - '0', ones = (unsigned char)at[18] - '0';
    if (load64(at) == last->text[0] && load64(at + 8) == last->text[1]) {
        *seconds = last->seconds + tens * 10 + ones;
        return (at[16] == ':') & (tens < 6) & (ones < 10);
    }
    if (!parse_seconds(at, seconds)) {
        return false;
    }
    *last = (Minute){{load64(at), load64(at + 8)}, *seconds - tens * 10 - ones};
    return true;
}

/* Read a fraction of 1 to 9 digits after its point; NULL when there is none or a longer one. */
static inline const char *parse_fraction(const char *at, uint32_t *nanos) {
    static const uint32_t scale[10] = {0, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1};
    uint32_t value = 0;
    int digits = 0;
    for (unsigned digit; (digit = (unsigned char)*at - '0') < 10; at++) {
        if (++digits > 9) {
            return NULL;
        }
        value = value * 10 + digit;
    }
    *nanos = value * scale[digits];
    return digits == 0 ? NULL : at;
}

static inline bool parse_pair(const char *at, unsigned most, int64_t *value) {
    unsigned tens = (unsigned char)at[0] - '0', ones = (unsigned char)at[1] - '0';
    *value = tens * 10 + ones;
    return tens < 10 && ones < 10 && tens * 10 + ones <= most;
}

/* Read an instant after its quote; the result stands at what should be the closing quote. */
static inline const char *parse_instant(const char *at, Fields *fields) {
    if (!parse_seconds(at, &fields->seconds)) {
        return NULL;
    }
    at += 19;
    fields->nanos = 0;
    if (*at == '.' && (at = parse_fraction(at + 1, &fields->nanos)) == NULL) {
        return NULL;
    }
    if ((*at | 0x20) == 'z') {
        return at + 1;
    }
    int64_t hours, minutes;
    int colon = at[3] == ':';
    if ((*at != '+' && *at != '-') || !parse_pair(at + 1, 23, &hours) || !parse_pair(at + 3 + colon, 59, &minutes)) {
        return NULL;
    }
    int64_t offset = hours * 3600 + minutes * 60;
    fields->seconds -= *at == '+' ? offset : -offset;
    return at + 5 + colon;
}

/* Read 1 to 13 digits without a leading zero. */
static inline const char *parse_amount(const char *at, int64_t *amount) {
    uint64_t word = load64(at) ^ UINT64_C(0x3030303030303030);
    uint64_t other = (word | (word + UINT64_C(0x7676767676767676))) & UINT64_C(0x8080808080808080);
    if (other != 0 && (other & 0x80) == 0) { /* 1 to 7 digits */
        unsigned bits = (unsigned)__builtin_ctzll(other) & ~7u; /* 8 a digit */
        if ((word & 0xFF) == 0 && bits != 8) {
            return NULL;
        }
        word <<= 64 - bits; /* now eight digits, zeros first */
        word = (word * 10 + (word >> 8)) & UINT64_C(0x00FF00FF00FF00FF);
        word = (word * 100 + (word >> 16)) & UINT64_C(0x0000FFFF0000FFFF);
        *amount = (int64_t)((word & 0xFFFF) * 10000 + (word >> 32));
        return at + bits / 8;
    }
    if (*at == '0') {
        return NULL;
    }
    int64_t value = 0;
    const char *start = at;
    for (unsigned digit; (digit = (unsigned char)*at - '0') < 10; at++) {
        if (at - start == 13) {
            return NULL;
        }
        value = value * 10 + digit;
    }
    *amount = value;
    return at == start || value > AMOUNT_MAX ? NULL : at;
}

/* Read a payment method after its quote; the result stands after the closing quote. Which one it is decides no jump:
 * none could be foretold. */
static inline const char *parse_method(const char *at, uint8_t *method) {
    uint64_t word = load64(at);
    unsigned now = word == TEXT8('P', 'A', 'Y', '_', 'N', 'O', 'W', '"');
    unsigned later = (word == TEXT8('P', 'A', 'Y', '_', 'L', 'A', 'T', 'E')) & (load16(at + 8) == ('R' | '"' << 8));
    unsigned slice = (word == TEXT8('S', 'L', 'I', 'C', 'E', '_', 'I', 'T')) & (at[8] == '"');
    *method = (uint8_t)(later | slice << 1);
    return now | later | slice ? at + 8 + 2 * later + slice : NULL;
}

/* Read a name after its quote; the result stands after the closing quote. */
static inline const char *parse_name(const char *at, const char **name, size_t *length) {
    size_t size = plain_length(at, NAME_CHARACTERS_MAX);
    if (at[size] != '"' || size - 1 >= NAME_CHARACTERS_MAX) {
        return NULL;
    }
    *name = at;
    *length = size;
    return at + size + 1;
}

#endif
