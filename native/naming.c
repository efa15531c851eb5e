/* Names that an export gave: out of lines, and from names to sources. Twins of tillroll.core.naming. */
#include "kernel.h"

#include <stdlib.h>

#define MEMBER ",\"_name\":\""
#define KEY "_name"
#define BEHIND_KEY 3 /* the quote, the colon and the quote */
#define POSITION_DIGITS_MAX 19

static inline uint32_t start_of(const uint32_t *ends, size_t index) { return index == 0 ? 0 : ends[index - 1]; }

/* Whether `_name` stands in a text from here on; the result stands behind it, NULL when it does not. */
static const char *after_key(const char *at, const char *end) {
    while ((at = memchr(at, '_', (size_t)(end - at))) != NULL) {
        if ((size_t)(end - at) >= sizeof KEY - 1 && memcmp(at, KEY, sizeof KEY - 1) == 0) {
            return at + sizeof KEY - 1;
        }
        at++;
    }
    return NULL;
}

/* Whether a letter of `_name` may be written as \u005f, \u0061 and so on. */
static bool has_escape(const char *at, const char *end) {
    while ((at = memchr(at, '\\', (size_t)(end - at))) != NULL) {
        if (end - at >= 5 && memcmp(at, "\\u00", 4) == 0 && (at[4] == '5' || at[4] == '6')) {
            return true;
        }
        at++;
    }
    return false;
}

bool may_have_names(const char *text, size_t size) {
    return after_key(text, text + size) != NULL || has_escape(text, text + size);
}

/* Find the name that a line, which is an event, has as its last member: that is certain, since an event ends with the
 * brace of its object, and a string without a backslash begins at the quote before the one that it ends with. Anything
 * else is doubtful. Returns false when it is. */
static bool name_in(const char *start, const char *end, const char **name, size_t *length) {
    *length = 0;
    const char *behind = after_key(start, end);
    if (behind == NULL) {
        return !has_escape(start, end);
    }
    while (end > start && (end[-1] == '\r' || end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    if (after_key(behind, end) != NULL || memchr(start, '\\', (size_t)(end - start)) != NULL) {
        return false;
    }
    if (behind - start < (ptrdiff_t)(sizeof MEMBER - 1 - BEHIND_KEY) || end - behind < (ptrdiff_t)(BEHIND_KEY + 2)) {
        return false;
    }
    *name = behind + BEHIND_KEY;
    if (memcmp(*name - (sizeof MEMBER - 1), MEMBER, sizeof MEMBER - 1) != 0 || end[-1] != '}' ||
        memchr(*name, '"', (size_t)(end - *name)) != end - 2) {
        return false;
    }
    *length = (size_t)(end - 2 - *name);
    return *length != 0;
}

Status names_in_lines(const char *text, size_t size, uint64_t position, const uint64_t *positions, size_t count,
                      uint32_t *ends, char *heap, uint32_t *doubtful, size_t *doubtful_count) {
    size_t at = 0, used = 0;
    bool ended = false; /* the last line is behind us */
    *doubtful_count = 0;
    for (size_t i = 0; i < count; i++, position++) {
        size_t end = at;
        for (;; position++) {
            if (ended || positions[i] < position) {
                return INVALID;
            }
            const char *feed = memchr(text + at, '\n', size - at);
            end = feed == NULL ? size : (size_t)(feed - text);
            if (position == positions[i]) {
                break;
            }
            ended = feed == NULL;
            at = ended ? size : end + 1;
        }
        const char *name = text;
        size_t length;
        if (!name_in(text + at, text + end, &name, &length)) {
            doubtful[(*doubtful_count)++] = (uint32_t)i;
            length = 0;
        }
        memcpy(heap + used, name, length);
        ends[i] = (uint32_t)(used += length);
        ended = end == size;
        at = ended ? size : end + 1;
    }
    return DONE;
}

/* What a name says. */
typedef struct {
    uint8_t kind;
    uint64_t position;
    const char *value;
    size_t length;
} Said;

static bool parse_name_text(const char *text, size_t length, Said *said) {
    static const char *const kinds[] = {"id:", "key:", "message:", "file:"};
    size_t at = 0;
    for (said->kind = NAME_ID;; said->kind++) {
        const char *kind = kinds[said->kind - NAME_ID];
        at = strlen(kind);
        if (length > at && memcmp(text, kind, at) == 0) {
            break;
        }
        if (said->kind == NAME_FILE) {
            return false;
        }
    }
    said->position = 0;
    if (said->kind != NAME_ID) {
        size_t first = at;
        for (unsigned digit; at < length && (digit = (unsigned char)text[at] - '0') < 10; at++) {
            if (at - first == POSITION_DIGITS_MAX) {
                return false;
            }
            said->position = said->position * 10 + digit;
        }
        if (at == first || (text[first] == '0' && at - first > 1) || said->position > INT64_MAX || at >= length ||
            text[at] != ':') {
            return false;
        }
        at++;
    }
    said->value = text + at;
    said->length = length - at;
    return said->length != 0 && said->length <= NAME_VALUE_BYTES_MAX;
}

/* Whether an event goes on with the run before, whose last position is known. */
static bool goes_on(const Said *said, const Said *before, uint64_t last) {
    if (said->kind != before->kind) {
        return false;
    }
    return said->kind == NAME_NONE || said->kind == NAME_NOT_SAID ||
           (said->position > last && said->length == before->length &&
            memcmp(said->value, before->value, said->length) == 0);
}

void sources_of_names(const uint32_t *ends, size_t count, const char *heap, const uint32_t *id_ends, const char *ids,
                      NamedRuns *runs, uint64_t *positions) {
    Said before = {.kind = 254};
    uint64_t last = 0;
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        Said said = {.kind = NAME_NOT_SAID};
        const char *text = heap + start_of(ends, i);
        size_t length = ends[i] - start_of(ends, i);
        uint32_t id = id_ends == NULL ? 0 : start_of(id_ends, i), id_length = id_ends == NULL ? 0 : id_ends[i] - id;
        if (length != 0) {
            bool valid = parse_name_text(text, length, &said);
            if (valid && said.kind == NAME_ID) { /* the id says it itself */
                valid = said.length == id_length && memcmp(said.value, ids + id, id_length) == 0;
                said = (Said){.kind = NAME_NONE};
            }
            if (!valid) {
                runs->invalid[runs->invalid_count++] = (uint32_t)i;
                said = (Said){.kind = NAME_NOT_SAID};
            }
        }
        if (i == 0 || !goes_on(&said, &before, last)) {
            runs->events[runs->count] = 0;
            runs->kinds[runs->count] = said.kind;
            memcpy(runs->values + used, said.length == 0 ? heap : said.value, said.length);
            runs->ends[runs->count++] = (uint32_t)(used += said.length);
        }
        uint64_t place = runs->events[runs->count - 1]++;
        positions[i] = last = said.kind == NAME_NONE || said.kind == NAME_NOT_SAID ? place : said.position;
        before = said;
    }
}
