/* Lines to columns: recognises the ordinary line, and names every other one as unsure.
 *
 * A line is taken only when it is certain that tillroll.core.accept makes the same event of it; so nothing here says why
 * a line is wrong. Reading past a line is by construction: a line is parsed in place only where enough of the text
 * follows it, else in a copy with zeros behind, and no loop passes a zero or a line feed.
 */
#include "fields.h"
#include "names.h"

#include <stdlib.h>

#define MARGIN 640      /* more than the longest line that the template takes may read */
#define LINE_BYTES_MIN 80 /* the shortest event is longer */
#define YEAR_1_S (-INT64_C(62135596800))
#define KEPT_EVENTS_MAX (1u << 19)
#define AHEAD 32 /* lines that are read before their merchants are looked up, so that memory answers many at once */

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

/* Whether an event goes on as the ordinary batch does: the next position, no fraction of a second, no id. */
static inline bool is_even(const Parser *parser, const Fields *fields, uint64_t position) {
    return position == parser->first_position + parser->count && fields->nanos == 0 && parser->ids_used == 0;
}

/* Write what an even batch leaves to be told at its end: memory is what a batch waits for. */
static void write_even(Parser *parser) {
    for (size_t i = 0; i < parser->count; i++) {
        parser->positions[i] = parser->first_position + i;
    }
    memset(parser->nanos, 0, parser->count * sizeof *parser->nanos);
    memset(parser->id_ends, 0, parser->count * sizeof *parser->id_ends);
}

static inline void add_uneven(Parser *parser, const Fields *fields, uint64_t position) {
    if (parser->count == 0 && fields->nanos == 0 && parser->ids_used == 0) {
        parser->first_position = position;
        return;
    }
    if (!parser->uneven) {
        write_even(parser);
        parser->uneven = true;
    }
    parser->nanos[parser->count] = fields->nanos;
    parser->positions[parser->count] = position;
    parser->id_ends[parser->count] = (uint32_t)parser->ids_used;
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

/* Append an event whose merchant has this hash. INVALID: it is not certain after all. */
static inline Status add_event(Parser *parser, const Fields *fields, uint32_t hash, uint64_t position) {
    if (fields->seconds > parser->latest || fields->seconds < YEAR_1_S ||
        (fields->id_length != 0 && *fields->id == ' ')) { /* perhaps nothing but spaces, which are no name */
        return INVALID;
    }
    uint32_t merchant = names_find(&parser->names, hash, fields->merchant, fields->merchant_length);
    if (merchant == NAME_NEW) {
        if (*fields->merchant == ' ' ||
            plain_length(fields->merchant, NAME_CHARACTERS_MAX) != fields->merchant_length ||
            perhaps_reserved(fields->merchant, fields->merchant_length)) {
            return INVALID;
        }
        merchant = names_hold(&parser->names, hash, fields->merchant, fields->merchant_length);
    }
    if (merchant == NAME_NO_MEMORY) {
        return NO_MEMORY;
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
    size_t index = parser->count;
    parser->seconds[index] = fields->seconds;
    parser->amounts[index] = fields->amount;
    parser->methods[index] = fields->method;
    parser->merchants[index] = merchant;
    if (parser->uneven || !is_even(parser, fields, position)) {
        add_uneven(parser, fields, position);
    }
    parser->count++;
    return DONE;
}

#define SKIP(literal)                                        \
    do {                                                     \
        if (memcmp(at, literal, sizeof literal - 1) != 0) {  \
            return NULL;                                     \
        }                                                    \
        at += sizeof literal - 1;                            \
    } while (0)

/* What a line is likely to share with the one before. */
typedef struct {
    Minute minute;
    size_t merchant_length;
} Before;

/* Read a name after its quote, taking it to be as long as the one before if a quote stands there: add_event looks
 * whether it is a plain name, and mostly it is one that is held. */
static inline const char *guess_name(const char *at, size_t *likely, const char **name, size_t *length) {
    if (at[*likely] != '"') {
        if ((at = parse_name(at, name, length)) != NULL) {
            *likely = *length;
        }
        return at;
    }
    *name = at;
    *length = *likely;
    return at + *likely + 1;
}

/* Read a line in the contract's own order of fields, with or without an id, and MARGIN bytes to read. The result stands
 * at the end of the line; NULL when the line is any other. */
#define TEMPLATE(name, space)                                                                                 \
    static inline const char *name(const char *at, Before *before, Fields *fields) {                          \
        SKIP("{\"date\":" space "\"");                                                                        \
        if (!parse_seconds_after(at, &before->minute, &fields->seconds)) {                                    \
            return NULL;                                                                                      \
        }                                                                                                     \
        at += 19;                                                                                             \
        fields->nanos = 0;                                                                                    \
        if (*at == '.' && (at = parse_fraction(at + 1, &fields->nanos)) == NULL) {                            \
            return NULL;                                                                                      \
        }                                                                                                     \
        SKIP("Z\"," space "\"amount\":" space);                                                               \
        if ((at = parse_amount(at, &fields->amount)) == NULL) {                                               \
            return NULL;                                                                                      \
        }                                                                                                     \
        SKIP("," space "\"paymentMethod\":" space "\"");                                                      \
        if ((at = parse_method(at, &fields->method)) == NULL) {                                               \
            return NULL;                                                                                      \
        }                                                                                                     \
        SKIP("," space "\"merchantId\":" space "\"");                                                         \
        if ((at = guess_name(at, &before->merchant_length, &fields->merchant, &fields->merchant_length)) ==   \
            NULL) {                                                                                           \
            return NULL;                                                                                      \
        }                                                                                                     \
        fields->id_length = 0;                                                                                \
        if (*at == ',') {                                                                                     \
            SKIP("," space "\"id\":" space "\"");                                                             \
            if ((at = parse_name(at, &fields->id, &fields->id_length)) == NULL) {                             \
                return NULL;                                                                                  \
            }                                                                                                 \
        }                                                                                                     \
        if (*at != '}') {                                                                                     \
            return NULL;                                                                                      \
        }                                                                                                     \
        at += at[1] == '\r' ? 2 : 1;                                                                          \
        return *at == '\n' ? at : NULL;                                                                       \
    }

TEMPLATE(parse_tight, "")
TEMPLATE(parse_spaced, " ")

static inline const char *parse_template(const char *at, Before *before, Fields *fields) {
    return at[8] == ' ' ? parse_spaced(at, before, fields) : parse_tight(at, before, fields);
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

/* The mark that some programs write at the beginning of a file, and so of any line of two that were joined. */
static inline const char *skip_marks(const char *at, const char *end) {
    while (end - at >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0) {
        at += 3;
    }
    return at;
}

static bool is_space(char character) {
    return character == ' ' || character == '\t' || character == '\r' || character == '\n';
}

/* Leave out the spaces around a text. */
static inline void trim(const char **start, const char **end) {
    while (*start < *end && is_space(**start)) {
        (*start)++;
    }
    while (*start < *end && is_space((*end)[-1])) {
        (*end)--;
    }
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
    if (!parse_object(at, at + length, whole, &fields)) {
        return add_unsure(parser, line);
    }
    uint32_t hash = names_hash(&parser->names, fields.merchant, fields.merchant_length);
    Status status = add_event(parser, &fields, hash, line.position);
    return status == INVALID ? add_unsure(parser, line) : status;
}

/* A line that was read, and is not added yet. */
typedef struct {
    Fields fields;
    uint32_t hash; /* of the merchant */
    const char *end;
} Taken;

/* Read the object that a line is, when it ends well before the text does; the result stands at the end of the line. */
static const char *take_object(const char *at, const char *stop, Fields *fields) {
    const char *feed = memchr(at, '\n', (size_t)(stop - at));
    if (feed == NULL || stop - feed <= PADDING) {
        return NULL;
    }
    const char *end = feed;
    trim(&at, &end);
    bool ordinary = end - at >= LINE_BYTES_MIN && end - at <= LINE_BYTES_MAX;
    return ordinary && parse_object(at, end, false, fields) ? feed : NULL;
}

/* Take lines from `at` on, at most so many; return how many. */
static size_t take_lines(const Parser *parser, const char *at, const char *stop, size_t most, Before *before, Taken *taken) {
    size_t count = 0;
    while (count < most && stop - at >= MARGIN) {
        Taken *line = &taken[count];
        const char *end = parse_template(at, before, &line->fields);
        if (end == NULL && (end = take_object(at, stop, &line->fields)) == NULL) {
            break;
        }
        line->hash = names_hash(&parser->names, line->fields.merchant, line->fields.merchant_length);
        line->end = end;
        at = end + 1;
        count++;
    }
    for (size_t i = 0; i < count; i++) {
        names_fetch(&parser->names, taken[i].hash);
    }
    return count;
}

/* Add lines that were taken, the first at a position, up to the first that is not certain after all. */
static Status add_taken(Parser *parser, const Taken *taken, size_t *count, uint64_t position) {
    for (size_t i = 0; i < *count; i++) {
        Status status = add_event(parser, &taken[i].fields, taken[i].hash, position + i);
        if (status == INVALID) {
            *count = i;
        } else if (status != DONE) {
            return status;
        }
    }
    return DONE;
}

static Status add_lines(Parser *parser, uint64_t text, const char *bytes, size_t *size, uint64_t *from) {
    const char *at = bytes, *stop = bytes + *size;
    uint64_t position = *from;
    Before before = {.merchant_length = UUID_TEXT};
    Taken taken[AHEAD];
    size_t ahead = AHEAD;
    while (at < stop && parser->unsure_count < parser->unsure_most) {
        size_t took = take_lines(parser, at, stop, ahead, &before, taken), count = took;
        Status status = add_taken(parser, taken, &count, position);
        if (status != DONE) {
            return status;
        }
        position += count;
        at = count == 0 ? at : taken[count - 1].end + 1;
        if (count == ahead) {
            ahead = ahead * 2 > AHEAD ? AHEAD : ahead * 2;
            continue;
        }
        if (count < took) { /* neither to guess wrong again, nor to take for nothing what comes after the next like it */
            size_t length = plain_length(taken[count].fields.merchant, NAME_CHARACTERS_MAX);
            before.merchant_length = length == 0 || length > NAME_CHARACTERS_MAX ? UUID_TEXT : length;
            ahead = 1;
        }
        const char *feed = memchr(at, '\n', (size_t)(stop - at));
        const char *end = feed == NULL ? stop : feed, *start = skip_marks(at, end);
        at = end + 1;
        trim(&start, &end);
        if (start < end) {
            Unsure line = {text, parser->count, position, (uint64_t)(start - bytes), (uint64_t)(end - bytes)};
            status = add_line(parser, line, bytes, feed != NULL && stop - feed > PADDING, false);
            if (status != DONE) {
                return status;
            }
        }
        position++;
    }
    *size = at < stop ? (size_t)(at - bytes) : *size; /* a last line without its end puts `at` past the stop */
    *from = position;
    return DONE;
}

void parser_begin(Parser *parser) {
    names_begin(&parser->names);
    parser->count = parser->ids_used = parser->unsure_count = 0;
    parser->uneven = false;
}

void parser_end(Parser *parser) {
    if (!parser->uneven && parser->count > 0) {
        write_even(parser);
    }
}

Status parser_add(Parser *parser, uint64_t text, const char *bytes, size_t *size, uint64_t *position, bool whole) {
    if (!reserve(parser, *size / LINE_BYTES_MIN + 1)) {
        return NO_MEMORY;
    }
    if (!whole) {
        return add_lines(parser, text, bytes, size, position);
    }
    const char *start = bytes, *end = bytes + *size;
    trim(&start, &end);
    Unsure object = {text, parser->count, (*position)++, (uint64_t)(start - bytes), (uint64_t)(end - bytes)};
    return add_line(parser, object, bytes, false, true);
}
