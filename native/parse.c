/* Lines to columns: recognises the ordinary line, and names every other one as unsure.
 *
 * A line is taken only when it is certain that tillroll.core.accept makes the same event of it; so nothing here says why
 * a line is wrong. Reading past a line is by construction: a line is parsed in place only where enough of the text
 * follows it, else in a copy with zeros behind, and no loop passes a zero or a line feed.
 */
#include "kernel.h"

#include <stdlib.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define MARGIN 640      /* more than the longest line that the template takes may read */
#define PADDING 64      /* more than any single step reads past the end of a line */
#define LINE_BYTES_MIN 80 /* the shortest event is longer */
#define YEAR_1_S (-INT64_C(62135596800))
#define KEPT_EVENTS_MAX (1u << 19)

typedef struct {
    int64_t seconds, amount;
    uint32_t nanos;
    uint8_t method;
    const char *merchant, *id;
    size_t merchant_length, id_length;
} Fields;

enum { SEEN_DATE = 1, SEEN_AMOUNT = 2, SEEN_METHOD = 4, SEEN_MERCHANT = 8, SEEN_ID = 16, SEEN_ALL = 15 };

void parser_init(Parser *parser, uint64_t seed) {
    memset(parser, 0, sizeof *parser);
    names_init(&parser->names, seed);
}

static void free_columns(Parser *parser) {
    free(parser->seconds);
    free(parser->amounts);
    free(parser->nanos);
    free(parser->merchants);
    free(parser->id_ends);
    free(parser->positions);
    free(parser->methods);
    free(parser->ids);
    free(parser->unsure);
    free(parser->scratch);
}

void parser_free(Parser *parser) {
    free_columns(parser);
    names_free(&parser->names);
    memset(parser, 0, sizeof *parser);
}

void parser_trim(Parser *parser) {
    if (parser->size > KEPT_EVENTS_MAX || parser->unsure_size > KEPT_EVENTS_MAX ||
        parser->ids_size > (size_t)KEPT_EVENTS_MAX * 40) {
        Names names = parser->names;
        free_columns(parser);
        memset(parser, 0, sizeof *parser);
        parser->names = names;
    }
}

static bool resize(void *column, size_t size, size_t width) {
    void *grown = size > SIZE_MAX / width ? NULL : realloc(*(void **)column, size * width);
    if (grown != NULL) {
        *(void **)column = grown;
    }
    return grown != NULL;
}

static bool reserve(Parser *parser, size_t more) {
    size_t size = parser->count + more;
    if (size <= parser->size) {
        return true;
    }
    if (size < parser->size + parser->size / 2) {
        size = parser->size + parser->size / 2;
    }
    if (!resize(&parser->seconds, size, 8) || !resize(&parser->amounts, size, 8) || !resize(&parser->nanos, size, 4) ||
        !resize(&parser->merchants, size, 4) || !resize(&parser->id_ends, size, 4) ||
        !resize(&parser->positions, size, 8) || !resize(&parser->methods, size, 1)) {
        return false;
    }
    parser->size = size;
    return true;
}

static Status add_unsure(Parser *parser, Unsure unsure) {
    if (parser->unsure_count == parser->unsure_size) {
        size_t size = parser->unsure_size == 0 ? 64 : parser->unsure_size * 2;
        if (!resize(&parser->unsure, size, sizeof(Unsure))) {
            return NO_MEMORY;
        }
        parser->unsure_size = size;
    }
    parser->unsure[parser->unsure_count++] = unsure;
    return DONE;
}

static Status add_id(Parser *parser, const char *id, size_t length) {
    if (parser->ids_used + length > parser->ids_size) {
        size_t size = parser->ids_size == 0 ? 4096 : parser->ids_size * 2;
        if (!resize(&parser->ids, size, 1)) {
            return NO_MEMORY;
        }
        parser->ids_size = size;
    }
    if (parser->ids_used + length > UINT32_MAX) {
        return INVALID;
    }
    memcpy(parser->ids + parser->ids_used, id, length);
    parser->ids_used += length;
    return DONE;
}

/* Append an event. INVALID: it is not certain after all. */
static inline Status add_event(Parser *parser, const Fields *fields, uint64_t position) {
    if (fields->seconds > parser->latest || fields->seconds < YEAR_1_S) {
        return INVALID;
    }
    uint32_t merchant = names_number(&parser->names, fields->merchant, fields->merchant_length);
    if (merchant >= NAME_NO_MEMORY) {
        return merchant == NAME_UNSURE ? INVALID : NO_MEMORY;
    }
    if (parser->count == parser->size && !reserve(parser, 1)) {
        return NO_MEMORY;
    }
    if (fields->id_length != 0) {
        Status status = add_id(parser, fields->id, fields->id_length);
        if (status != DONE) {
            return status;
        }
    }
    size_t index = parser->count++;
    parser->seconds[index] = fields->seconds;
    parser->nanos[index] = fields->nanos;
    parser->amounts[index] = fields->amount;
    parser->methods[index] = fields->method;
    parser->merchants[index] = merchant;
    parser->positions[index] = position;
    parser->id_ends[index] = (uint32_t)parser->ids_used;
    return DONE;
}

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
    if (*at == 'Z') {
        return at + 1;
    }
    int64_t hours, minutes;
    if ((*at != '+' && *at != '-') || !parse_pair(at + 1, 23, &hours) || at[3] != ':' ||
        !parse_pair(at + 4, 59, &minutes)) {
        return NULL;
    }
    int64_t offset = hours * 3600 + minutes * 60;
    fields->seconds -= *at == '+' ? offset : -offset;
    return at + 6;
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

/* Read a payment method after its quote; the result stands after the closing quote. */
static inline const char *parse_method(const char *at, uint8_t *method) {
    uint64_t word = load64(at);
    if (word == TEXT8('P', 'A', 'Y', '_', 'N', 'O', 'W', '"')) {
        *method = 0;
        return at + 8;
    }
    if (word == TEXT8('P', 'A', 'Y', '_', 'L', 'A', 'T', 'E') && at[8] == 'R' && at[9] == '"') {
        *method = 1;
        return at + 10;
    }
    if (word == TEXT8('S', 'L', 'I', 'C', 'E', '_', 'I', 'T') && at[8] == '"') {
        *method = 2;
        return at + 9;
    }
    return NULL;
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

#define SKIP(literal)                                        \
    do {                                                     \
        if (memcmp(at, literal, sizeof literal - 1) != 0) {  \
            return NULL;                                     \
        }                                                    \
        at += sizeof literal - 1;                            \
    } while (0)

/* Read a line in the contract's own order of fields, with or without an id, and MARGIN bytes to read. The result stands
 * at the end of the line; NULL when the line is any other. */
#define TEMPLATE(name, space)                                                                      \
    static inline const char *name(const char *at, Fields *fields) {                               \
        SKIP("{\"date\":" space "\"");                                                             \
        if (!parse_seconds(at, &fields->seconds)) {                                                \
            return NULL;                                                                           \
        }                                                                                          \
        at += 19;                                                                                  \
        fields->nanos = 0;                                                                         \
        if (*at == '.' && (at = parse_fraction(at + 1, &fields->nanos)) == NULL) {                 \
            return NULL;                                                                           \
        }                                                                                          \
        SKIP("Z\"," space "\"amount\":" space);                                                    \
        if ((at = parse_amount(at, &fields->amount)) == NULL) {                                    \
            return NULL;                                                                           \
        }                                                                                          \
        SKIP("," space "\"paymentMethod\":" space "\"");                                           \
        if ((at = parse_method(at, &fields->method)) == NULL) {                                    \
            return NULL;                                                                           \
        }                                                                                          \
        SKIP("," space "\"merchantId\":" space "\"");                                              \
        if ((at = parse_name(at, &fields->merchant, &fields->merchant_length)) == NULL) {          \
            return NULL;                                                                           \
        }                                                                                          \
        fields->id_length = 0;                                                                     \
        if (*at == ',') {                                                                          \
            SKIP("," space "\"id\":" space "\"");                                                  \
            if ((at = parse_name(at, &fields->id, &fields->id_length)) == NULL) {                  \
                return NULL;                                                                       \
            }                                                                                      \
        }                                                                                          \
        if (*at != '}') {                                                                          \
            return NULL;                                                                           \
        }                                                                                          \
        at += at[1] == '\r' ? 2 : 1;                                                               \
        return *at == '\n' ? at : NULL;                                                            \
    }

TEMPLATE(parse_tight, "")
TEMPLATE(parse_spaced, " ")

static inline const char *parse_template(const char *at, Fields *fields) {
    return at[8] == ' ' ? parse_spaced(at, fields) : parse_tight(at, fields);
}

static inline const char *skip_space(const char *at, bool whole) {
    while (*at == ' ' || *at == '\t' || *at == '\r' || (whole && *at == '\n')) {
        at++;
    }
    return at;
}

/* Read the value of a field that is not ours: a plain string, a word or a short integer. */
static const char *skip_value(const char *at) {
    if (*at == '"') {
        at++;
        at += plain_length(at, LINE_BYTES_MAX);
        return *at == '"' ? at + 1 : NULL;
    }
    if (memcmp(at, "true", 4) == 0 || memcmp(at, "null", 4) == 0) {
        return at + 4;
    }
    if (memcmp(at, "false", 5) == 0) {
        return at + 5;
    }
    at += *at == '-';
    if (*at == '0') {
        return at + 1;
    }
    const char *start = at;
    while ((unsigned char)(*at - '0') < 10 && at - start < 15) {
        at++;
    }
    return at == start ? NULL : at;
}

static inline unsigned field_of(const char *key, size_t length) {
    switch (length) {
    case 2:
        return memcmp(key, "id", 2) == 0 ? SEEN_ID : 0;
    case 4:
        return memcmp(key, "date", 4) == 0 ? SEEN_DATE : 0;
    case 6:
        return memcmp(key, "amount", 6) == 0 ? SEEN_AMOUNT : 0;
    case 10:
        return memcmp(key, "merchantId", 10) == 0 ? SEEN_MERCHANT : 0;
    case 13:
        return memcmp(key, "paymentMethod", 13) == 0 ? SEEN_METHOD : 0;
    default:
        return 0;
    }
}

static inline const char *parse_value(const char *at, unsigned field, Fields *fields) {
    if (field == 0) {
        return skip_value(at);
    }
    if (field == SEEN_AMOUNT) {
        return parse_amount(at, &fields->amount);
    }
    if (*at++ != '"') {
        return NULL;
    }
    switch (field) {
    case SEEN_DATE:
        at = parse_instant(at, fields);
        return at != NULL && *at == '"' ? at + 1 : NULL;
    case SEEN_METHOD:
        return parse_method(at, &fields->method);
    case SEEN_MERCHANT:
        return parse_name(at, &fields->merchant, &fields->merchant_length);
    default:
        return parse_name(at, &fields->id, &fields->id_length);
    }
}

/* Read an object of plain fields in any order that ends at `end`. A zero or a line feed follows, and PADDING bytes. */
static bool parse_object(const char *at, const char *end, bool whole, Fields *fields) {
    unsigned seen = 0;
    fields->id_length = 0;
    at = skip_space(at, whole);
    if (*at != '{') {
        return false;
    }
    do {
        at = skip_space(at + 1, whole);
        if (*at != '"') {
            return false;
        }
        const char *key = ++at;
        size_t length = plain_length(at, LINE_BYTES_MAX);
        at += length;
        if (*at != '"') {
            return false;
        }
        at = skip_space(at + 1, whole);
        if (*at != ':') {
            return false;
        }
        unsigned field = field_of(key, length);
        if (seen & field) {
            return false;
        }
        seen |= field;
        at = parse_value(skip_space(at + 1, whole), field, fields);
        if (at == NULL) {
            return false;
        }
        at = skip_space(at, whole);
    } while (*at == ',');
    return *at == '}' && at + 1 == end && (seen & SEEN_ALL) == SEEN_ALL;
}

static bool is_space(char character) {
    return character == ' ' || character == '\t' || character == '\r' || character == '\n';
}

/* Take a line that the template did not: [start, end) of the text, without the spaces around it. `in_place`: a line feed
 * follows, and PADDING bytes. */
static Status add_line(Parser *parser, Unsure line, const char *bytes, bool in_place, bool whole) {
    Fields fields = {0};
    size_t length = line.end - line.start;
    const char *at = bytes + line.start;
    if (length > LINE_BYTES_MAX || length < LINE_BYTES_MIN) {
        return add_unsure(parser, line);
    }
    if (!in_place) {
        if (length + PADDING > parser->scratch_size) {
            if (!resize(&parser->scratch, length + PADDING, 1)) {
                return NO_MEMORY;
            }
            parser->scratch_size = length + PADDING;
        }
        memcpy(parser->scratch, at, length);
        memset(parser->scratch + length, 0, PADDING);
        at = parser->scratch;
    }
    Status status = parse_object(at, at + length, whole, &fields) ? add_event(parser, &fields, line.position) : INVALID;
    return status == INVALID ? add_unsure(parser, line) : status;
}

static Status add_lines(Parser *parser, uint64_t text, const char *bytes, size_t size, uint64_t position) {
    const char *at = bytes, *stop = bytes + size;
    while (at < stop) {
        Fields fields;
        if (stop - at >= MARGIN) {
            const char *end = parse_template(at, &fields);
            if (end != NULL) {
                Status status = add_event(parser, &fields, position);
                if (status == DONE) {
                    position++;
                    at = end + 1;
                    continue;
                }
                if (status == NO_MEMORY) {
                    return status;
                }
            }
        }
        const char *feed = memchr(at, '\n', (size_t)(stop - at));
        const char *start = at, *end = feed == NULL ? stop : feed;
        at = end + 1;
        while (start < end && is_space(*start)) {
            start++;
        }
        while (start < end && is_space(end[-1])) {
            end--;
        }
        if (start < end) {
            Unsure line = {text, parser->count, position, (uint64_t)(start - bytes), (uint64_t)(end - bytes)};
            Status status = add_line(parser, line, bytes, feed != NULL && stop - feed > PADDING, false);
            if (status != DONE) {
                return status;
            }
        }
        position++;
    }
    return DONE;
}

Status parser_add(Parser *parser, uint64_t text, const char *bytes, size_t size, uint64_t position, bool whole) {
    if (!reserve(parser, size / LINE_BYTES_MIN + 1)) {
        return NO_MEMORY;
    }
    if (!whole) {
        return add_lines(parser, text, bytes, size, position);
    }
    size_t start = 0, end = size;
    while (start < end && is_space(bytes[start])) {
        start++;
    }
    while (start < end && is_space(bytes[end - 1])) {
        end--;
    }
    return add_line(parser, (Unsure){text, parser->count, position, start, end}, bytes, false, true);
}
