/* Lines to columns: recognises the ordinary line, and names every other one as one that falls back on the decoder.
 *
 * A line is taken only when it is certain that tillroll.core.accept makes the same event of it; so nothing here says why
 * a line is wrong. Reading past a line is by construction: a line is parsed in place only where enough of the text
 * follows it, else in a copy with zeros behind, and no loop passes a zero or a line feed.
 */
#include "kept.h"

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
    free(parser->fallback);
    free(parser->scratch);
}

void parser_free(Parser *parser) {
    free_columns(parser);
    names_free(&parser->names);
    keep_free(&parser->keep);
    memset(parser, 0, sizeof *parser);
}

void parser_trim(Parser *parser) {
    if (parser->size > KEPT_EVENTS_MAX || parser->fallback_size > KEPT_EVENTS_MAX ||
        parser->ids_size > (size_t)KEPT_EVENTS_MAX * 40) {
        Names names = parser->names;
        Keep keep = parser->keep;
        free_columns(parser);
        memset(parser, 0, sizeof *parser);
        parser->names = names;
        parser->keep = keep;
    }
    keep_trim(&parser->keep, KEPT_EVENTS_MAX);
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

static Status add_fallback(Parser *parser, Fallback fallback) {
    if (parser->fallback_count == parser->fallback_size) {
        size_t size = parser->fallback_size == 0 ? 64 : parser->fallback_size * 2;
        if (!resize(&parser->fallback, size, sizeof(Fallback))) {
            return NO_MEMORY;
        }
        parser->fallback_size = size;
    }
    parser->fallback[parser->fallback_count++] = fallback;
    parser->plain = false;
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

/* A bracket or a day, or what may be one: the reference decoder shall say. */
static bool perhaps_reserved(const char *text, size_t length) {
    if (memchr(text, '|', length) != NULL) {
        return true;
    }
    if (length <= 7) {
        return text[0] == '<' || text[0] == '>' || memchr(text, '-', length) != NULL;
    }
    return length == 10 && text[4] == '-' && text[7] == '-' && is_decimal(text[0]);
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
    if (fields->kept_count != 0 && !keep_add(&parser->keep, fields->kept, fields->kept_count, index)) {
        return NO_MEMORY;
    }
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
    if (at[*likely] != '"' || *likely == 0) {
        if ((at = parse_name(at, name, length)) != NULL) {
            *likely = *length;
        }
        return at;
    }
    *name = at;
    *length = *likely;
    return at + *likely + 1;
}

#define ID(space) "," space "\"id\":" space "\""

/* Read the beginning of a line in the contract's own order of fields, with or without an id, and MARGIN bytes to read.
 * The result stands after them; NULL when the line is any other. */
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
        if (memcmp(at, ID(space), sizeof ID(space) - 1) == 0) {                                               \
            at += sizeof ID(space) - 1;                                                                       \
            if ((at = parse_name(at, &fields->id, &fields->id_length)) == NULL) {                             \
                return NULL;                                                                                  \
            }                                                                                                 \
        }                                                                                                     \
        return at;                                                                                            \
    }

TEMPLATE(parse_tight, "")
TEMPLATE(parse_spaced, " ")

static inline const char *parse_template(const char *at, Before *before, Fields *fields) {
    return at[8] == ' ' ? parse_spaced(at, before, fields) : parse_tight(at, before, fields);
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

/* Read the date after its quote, quicker when it is of the last minute. */
static inline const char *parse_date(const char *at, Minute *last, Fields *fields) {
    if (at[19] != 'Z' || !parse_seconds_after(at, last, &fields->seconds)) {
        return parse_instant(at, fields);
    }
    fields->nanos = 0;
    return at + 20;
}

static inline const char *parse_value(const char *at, unsigned field, Before *before, Fields *fields) {
    if (field == SEEN_AMOUNT) {
        return parse_amount(at, &fields->amount);
    }
    if (*at++ != '"') {
        return NULL;
    }
    switch (field) {
    case SEEN_DATE:
        at = parse_date(at, &before->minute, fields);
        return at != NULL && *at == '"' ? at + 1 : NULL;
    case SEEN_METHOD:
        return parse_method(at, &fields->method);
    case SEEN_MERCHANT:
        return guess_name(at, &before->merchant_length, &fields->merchant, &fields->merchant_length);
    default:
        return parse_name(at, &fields->id, &fields->id_length);
    }
}

/* The end of a name after its quote, when it has no escapes; NULL else. */
static inline const char *end_of_name(const char *at) {
    Written written;
    at = end_of_string(at, &written);
    return at == NULL || written.escaped ? NULL : at;
}

/* Whether a name stands here as it did in the last object; not certain where it does not. */
static inline bool is_member(const Member *member, const char *at) {
    const uint64_t *text = member->text, *mask = member->mask;
    uint64_t differs = ((load64(at) ^ text[0]) & mask[0]) | ((load64(at + 8) ^ text[1]) & mask[1]);
    if (member->length > 16) {
        differs |= ((load64(at + 16) ^ text[2]) & mask[2]) | ((load64(at + 24) ^ text[3]) & mask[3]);
    }
    return (differs == 0) & (member->length != 0);
}

/* Read a name of the object of a node up to its value, and take note of it. */
static const char *read_member(Parser *parser, const char *at, bool whole, uint32_t parent, Member *member) {
    const char *start = at, *name = at + 1;
    if (*at != '"' || (at = end_of_name(name)) == NULL) {
        return NULL;
    }
    size_t length = (size_t)(at - name);
    at = skip_space(at + 1, whole);
    if (*at != ':') {
        return NULL;
    }
    at = skip_space(at + 1, whole);
    memset(member, 0, sizeof *member);
    member->parent = parent;
    member->field = parent == 0 ? field_of(name, length) : 0;
    bool may_be_kept = member->field == 0 && parser->keep.fields_count != 0;
    member->node = may_be_kept ? keep_find(&parser->keep, parent, name, length) : 0;
    if (at - start <= MEMBER_BYTES_MAX) {
        member->length = (uint32_t)(at - start);
        memcpy(member->text, start, member->length);
        memset(member->mask, 0xFF, member->length);
    }
    return at;
}

/* The names of one object, those within others too, in the order in which the last one had them. */
typedef struct {
    Member *next, *stop, *other; /* where they are more than are noted */
} Members;

/* Pass over a name of the object of a node, up to its value; `at` becomes NULL when it is not certain. */
static inline const Member *next_member(Parser *parser, const char **at, bool whole, uint32_t parent, Members *members) {
    Member *member = members->next == members->stop ? members->other : members->next++;
    if (member != members->other && is_member(member, *at) && member->parent == parent) {
        *at = skip_space(*at + member->length, whole);
    } else {
        *at = read_member(parser, *at, whole, parent, member);
    }
    return member;
}

static const char *read_names(Parser *parser, uint32_t parent, const char *at, bool whole, Members *members, Fields *fields);

/* Read the value of a name that leads to fields to be kept, or is one. */
static inline const char *read_node(Parser *parser, uint32_t at_node, const char *at, bool whole, Members *members,
                                    Fields *fields) {
    Keep *keep = &parser->keep;
    KeepNode *node = &keep->nodes[at_node];
    if (node->seen == keep->event) { /* given twice */
        return NULL;
    }
    node->seen = keep->event;
    KeptValue *value = NULL;
    if (node->field >= 0) {
        value = &((KeptValue *)fields->kept)[fields->kept_count++];
        value->field = (uint16_t)node->field;
    }
    if (node->has_names && *at == '{') {
        if (value != NULL) {
            value->kind = KEPT_NONE;
        }
        return read_names(parser, at_node, at, whole, members, fields);
    }
    return value == NULL ? skip_value(at, whole) : read_kept(at, whole, value);
}

/* Read an object in which fields to be kept may stand. */
static const char *read_names(Parser *parser, uint32_t parent, const char *at, bool whole, Members *members, Fields *fields) {
    at = skip_space(at + 1, whole);
    if (*at == '}') {
        return at + 1;
    }
    for (;;) {
        uint32_t node = next_member(parser, &at, whole, parent, members)->node;
        if (at == NULL) {
            return NULL;
        }
        at = node == 0 ? skip_value(at, whole) : read_node(parser, node, at, whole, members, fields);
        if (at == NULL) {
            return NULL;
        }
        at = skip_space(at, whole);
        if (*at == '}') {
            return at + 1;
        }
        if (*at != ',') {
            return NULL;
        }
        at = skip_space(at + 1, whole);
    }
}

/* Read the fields of an object from its bracket, or from a comma in it, on, of which some were seen. A zero or a line
 * feed follows, and PADDING bytes. The result stands after its end. */
static const char *parse_members(Parser *parser, const char *at, bool whole, unsigned seen, Before *before, Fields *fields) {
    Member *first = parser->members + (seen == 0 ? 0 : MEMBERS), *stop = first + MEMBERS;
    Member other; /* a line feed in a name's text must not lead over the end of a line */
    Members members = {whole ? stop : first, stop, &other};
    parser->keep.event++;
    fields->kept_count = 0;
    for (;;) {
        at = skip_space(at + 1, whole);
        const Member *member = next_member(parser, &at, whole, 0, &members);
        if (at == NULL) {
            return NULL;
        }
        if (member->field != 0) {
            if (seen & member->field) {
                return NULL;
            }
            seen |= member->field;
            at = parse_value(at, member->field, before, fields);
        } else {
            parser->plain = false;
            at = member->node == 0 ? skip_value(at, whole) : read_node(parser, member->node, at, whole, &members, fields);
        }
        if (at == NULL) {
            return NULL;
        }
        at = skip_space(at, whole);
        if (*at != ',') {
            return *at == '}' && (seen & SEEN_ALL) == SEEN_ALL ? at + 1 : NULL;
        }
    }
}

/* Read an object of fields in any order that ends at `end`. A zero or a line feed follows, and PADDING bytes. */
static bool parse_object(Parser *parser, const char *at, const char *end, bool whole, Before *before, Fields *fields) {
    fields->id_length = 0;
    at = skip_space(at, whole);
    return *at == '{' && parse_members(parser, at, whole, 0, before, fields) == end;
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

/* Leave out what is around the event of a line besides: the mark that some programs write at the beginning of a file,
 * and so of any line of two that were joined; and the comma before or after an object in some lists of them. */
static void trim_line(const char **start, const char **end) {
    trim(start, end);
    while (*end - *start >= 3 && memcmp(*start, "\xEF\xBB\xBF", 3) == 0) {
        *start += 3;
        trim(start, end);
    }
    if (*start < *end && **start == ',') {
        const char *after = *start + 1;
        trim(&after, end);
        *start = after < *end && *after == '{' ? after : *start;
    }
    if (*start < *end && (*end)[-1] == ',') {
        const char *before = *end - 1;
        trim(start, &before);
        *end = *start < before && before[-1] == '}' ? before : *end;
    }
}

/* Where the values of a line that is read ahead are held. */
static inline const KeptValue *values_of(const Parser *parser, size_t line) {
    return parser->keep.values + line * parser->keep.fields_count;
}

/* Take a line that the template did not: [start, end) of the text, without the spaces around it. `in_place`: a line feed
 * follows, and PADDING bytes. */
static Status add_line(Parser *parser, Fallback line, const char *bytes, bool in_place, bool whole) {
    Fields fields = {.kept = values_of(parser, AHEAD)};
    size_t length = line.end - line.start;
    const char *at = bytes + line.start;
    if (length > LINE_BYTES_MAX || length < LINE_BYTES_MIN) {
        return add_fallback(parser, line);
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
    Before before = {0}; /* no guess: there is nobody after this who would set it right */
    if (!parse_object(parser, at, at + length, whole, &before, &fields)) {
        return add_fallback(parser, line);
    }
    uint32_t hash = names_hash(&parser->names, fields.merchant, fields.merchant_length);
    Status status = add_event(parser, &fields, hash, line.position);
    return status == INVALID ? add_fallback(parser, line) : status;
}

/* A line that was read, and is not added yet. */
typedef struct {
    Fields fields;
    uint32_t hash; /* of the merchant */
    const char *end;
} Taken;

/* Read the object that a line is, when it ends well before the text does; the result stands at the end of the line. */
static const char *take_object(Parser *parser, const char *at, const char *stop, Before *before, Fields *fields) {
    const char *feed = memchr(at, '\n', (size_t)(stop - at));
    if (feed == NULL || stop - feed <= PADDING) {
        return NULL;
    }
    const char *end = feed;
    trim(&at, &end);
    bool ordinary = end - at >= LINE_BYTES_MIN && end - at <= LINE_BYTES_MAX;
    return ordinary && parse_object(parser, at, end, false, before, fields) ? feed : NULL;
}

/* Read what a line has after the beginning that the template took; the result stands at the end of the line. */
static inline const char *take_rest(Parser *parser, const char *line, const char *at, const char *stop, Before *before,
                                    Fields *fields) {
    if (*at == ',') {
        const char *feed = memchr(at, '\n', (size_t)(stop - at));
        if (feed == NULL || stop - feed <= PADDING || feed - line > LINE_BYTES_MAX) {
            return NULL;
        }
        unsigned seen = SEEN_ALL | (fields->id_length != 0 ? SEEN_ID : 0);
        at = parse_members(parser, at, false, seen, before, fields);
        return at != NULL && skip_space(at, false) == feed ? feed : NULL;
    }
    if (*at != '}') {
        return NULL;
    }
    at += at[1] == '\r' ? 2 : 1;
    return *at == '\n' ? at : NULL;
}

static inline const char *take_line(Parser *parser, const char *at, const char *stop, Before *before, Fields *fields) {
    const char *rest = parse_template(at, before, fields);
    fields->kept_count = 0;
    if (rest != NULL && (rest = take_rest(parser, at, rest, stop, before, fields)) != NULL) {
        return rest;
    }
    return take_object(parser, at, stop, before, fields);
}

/* Take lines from `at` on, at most so many; return how many. */
static size_t take_lines(Parser *parser, const char *at, const char *stop, size_t most, Before *before, Taken *taken) {
    size_t count = 0;
    while (count < most && stop - at >= MARGIN) {
        Taken *line = &taken[count];
        line->fields.kept = values_of(parser, count);
        const char *end = take_line(parser, at, stop, before, &line->fields);
        if (end == NULL) {
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
    while (at < stop && parser->fallback_count < parser->fallback_stop) {
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
        const char *end = feed == NULL ? stop : feed, *start = at;
        at = end + 1;
        trim_line(&start, &end);
        if (start < end) {
            Fallback line = {text, parser->count, position, (uint64_t)(start - bytes), (uint64_t)(end - bytes)};
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
    keep_begin(&parser->keep);
    parser->count = parser->ids_used = parser->fallback_count = 0;
    parser->plain = true;
    parser->uneven = false;
}

Status parser_end(Parser *parser) {
    if (!parser->uneven && parser->count > 0) {
        write_even(parser);
    }
    return keep_end(&parser->keep, parser->count) ? DONE : NO_MEMORY;
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
    Fallback object = {text, parser->count, (*position)++, (uint64_t)(start - bytes), (uint64_t)(end - bytes)};
    return add_line(parser, object, bytes, false, true);
}
