/* Kept fields: the names they have in an event, and a column of each, of numbers of distinct values. */
#include "kept.h"

#include <stdlib.h>

#define NUMBER_DIGITS 19    /* of 10^18, the largest that is kept */
#define SPELLED_MAX (VALUE_BYTES_MAX * 6) /* where each byte is a bar */
#define HELD_BYTES_MAX (8u << 20)
#define ABSENT "(absent)"

Status keep_init(Keep *keep, uint64_t seed, const KeepName *names, size_t count, size_t fields) {
    size_t bytes = 0, slots = 2;
    for (size_t i = 0; i < count; i++) {
        bytes += names[i].length;
    }
    while (slots < count * 2 + 2) {
        slots *= 2;
    }
    keep->fields = calloc(fields, sizeof *keep->fields);
    keep->nodes = calloc(count + 1, sizeof *keep->nodes);
    keep->names = calloc(bytes + PADDING, 1);
    keep->slots = calloc(slots, sizeof *keep->slots);
    keep->values = calloc(fields * KEPT_AHEAD, sizeof *keep->values);
    if (keep->fields == NULL || keep->nodes == NULL || keep->names == NULL || keep->slots == NULL ||
        keep->values == NULL) {
        keep_free(keep);
        return NO_MEMORY;
    }
    keep->slots_mask = slots - 1;
    keep->fields_count = fields;
    for (size_t i = 0; i < fields; i++) {
        names_init(&keep->fields[i].names, seed);
    }
    bytes = 0;
    for (size_t i = 0; i < count; i++) {
        KeepNode *node = &keep->nodes[i + 1];
        *node = (KeepNode){.parent = names[i].parent, .field = names[i].field, .name = bytes, .length = names[i].length};
        memcpy(keep->names + bytes, names[i].name, names[i].length);
        keep->nodes[names[i].parent].has_names = true;
        keep->lengths |= UINT64_C(1) << (node->length < 63 ? node->length : 63);
        size_t slot = hash_text(node->parent, keep->names + bytes, node->length);
        while (keep->slots[slot & keep->slots_mask] != 0) {
            slot++;
        }
        keep->slots[slot & keep->slots_mask] = (uint32_t)(i + 1);
        bytes += names[i].length;
    }
    return DONE;
}

void keep_free(Keep *keep) {
    for (size_t i = 0; i < keep->fields_count; i++) {
        names_free(&keep->fields[i].names);
        free(keep->fields[i].indexes);
        free(keep->fields[i].recent);
        free(keep->fields[i].unkept);
    }
    free(keep->fields);
    free(keep->nodes);
    free(keep->names);
    free(keep->slots);
    free(keep->values);
    *keep = (Keep){0};
}

void keep_begin(Keep *keep) {
    size_t held = 0;
    for (size_t i = 0; i < keep->fields_count; i++) {
        held += keep->fields[i].names.heap_used;
    }
    for (size_t i = 0; i < keep->fields_count; i++) {
        KeptField *field = &keep->fields[i];
        if (held > HELD_BYTES_MAX) {
            names_free(&field->names);
        }
        names_begin(&field->names);
        if (field->names.epoch == 1 && field->recent != NULL) { /* epochs begin anew */
            memset(field->recent, 0, KEPT_RECENT * sizeof *field->recent);
        }
        field->filled = field->unkept_count = 0;
        field->absent = NAME_NEW;
    }
}

void keep_trim(Keep *keep, size_t most) {
    for (size_t i = 0; i < keep->fields_count; i++) {
        KeptField *field = &keep->fields[i];
        if (field->size > most) {
            free(field->indexes);
            field->indexes = NULL;
            field->size = 0;
        }
        if (field->unkept_size > most) {
            free(field->unkept);
            field->unkept = NULL;
            field->unkept_size = 0;
        }
    }
}

static bool grow(uint32_t **column, size_t *size, size_t needed) {
    if (needed <= *size) {
        return true;
    }
    size_t larger = *size + *size / 2 > needed ? *size + *size / 2 : needed + 64;
    uint32_t *grown = realloc(*column, larger * sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    *column = grown;
    *size = larger;
    return true;
}

/* The number of a value in its batch; eight bytes may be read although it is shorter. */
static uint32_t number_of(Names *names, const char *text, size_t length) {
    uint32_t hash = names_hash(names, text, length);
    uint32_t number = names_find(names, hash, text, length);
    return number == NAME_NEW ? names_hold(names, hash, text, length) : number;
}

/* Fill a column up to an event with the number of what is absent. */
static bool fill(KeptField *field, size_t index) {
    if (field->filled < index && field->absent == NAME_NEW) {
        field->absent = number_of(&field->names, ABSENT, sizeof ABSENT - 1);
        if (field->absent == NAME_NO_MEMORY) {
            return false;
        }
    }
    for (; field->filled < index; field->filled++) {
        field->indexes[field->filled] = field->absent;
    }
    return true;
}

/* Write a text as JSON does, without a bar in it. */
static size_t write_quoted(const KeptValue *value, char *out) {
    char *at = out;
    *at++ = '"';
    for (size_t i = 0; i < value->length; i++) {
        if (value->text[i] == '|') {
            memcpy(at, "\\u007c", 6);
            at += 6;
        } else {
            *at++ = value->text[i];
        }
    }
    *at++ = '"';
    return (size_t)(at - out);
}

/* Whether a text that has no quote, no backslash and no control character in it is a JSON value, spaces around it. */
static bool is_json(const char *at, const char *end) {
    at = skip_space(at, false);
    if (at == end || (at = skip_value(at, false)) == NULL) {
        return false;
    }
    return skip_space(at, false) == end;
}

/* Whether a text is spelled bare. Few first letters leave that open. */
static bool is_bare(const char *text, size_t length) {
    if (length == 0 || memchr(text, '|', length) != NULL) {
        return false;
    }
    switch (*text) {
    case '#':
        return false;
    case '(':
        return !(length == sizeof ABSENT - 1 && memcmp(text, ABSENT, length) == 0);
    case ' ':
    case '[':
    case '{':
    case 't':
    case 'f':
    case 'n':
    case '-':
        return !is_json(text, text + length);
    default:
        return !is_decimal(*text) || !is_json(text, text + length);
    }
}

uint32_t keep_number(Names *names, const KeptValue *value) {
    if (value->kind == KEPT_TOKEN || (value->kind == KEPT_TEXT && is_bare(value->text, value->length))) {
        return number_of(names, value->text, value->length);
    }
    char spelled[SPELLED_MAX + PADDING];
    return number_of(names, spelled, write_quoted(value, spelled));
}

/* Have a column with room for an event, all before it filled. */
static bool make_room(KeptField *field, size_t index) {
    if (field->recent == NULL && (field->recent = calloc(KEPT_RECENT, sizeof *field->recent)) == NULL) {
        return false;
    }
    return grow(&field->indexes, &field->size, index + 1) && fill(field, index);
}

bool keep_add_slow(KeptField *field, const KeptValue *value, size_t index) {
    if (!make_room(field, index)) {
        return false;
    }
    if (value->kind == KEPT_NONE) {
        if (!grow(&field->unkept, &field->unkept_size, field->unkept_count + 1)) {
            return false;
        }
        field->unkept[field->unkept_count++] = (uint32_t)index;
        return fill(field, index + 1);
    }
    field->indexes[index] = keep_number(&field->names, value);
    field->filled = index + 1;
    return field->indexes[index] != NAME_NO_MEMORY;
}

bool keep_end(Keep *keep, size_t count) {
    for (size_t i = 0; i < keep->fields_count; i++) {
        KeptField *field = &keep->fields[i];
        if (field->filled == 0) { /* absent throughout */
            continue;
        }
        if (!grow(&field->indexes, &field->size, count) || !fill(field, count)) {
            return false;
        }
    }
    return true;
}

static const char *read_number(const char *at, KeptValue *value) {
    Number number;
    const char *end = skip_number(at, &number);
    if (end == NULL || end != number.end) { /* what an exponent makes of it the reference decoder says */
        return NULL;
    }
    size_t digits = (size_t)(number.whole - number.digits);
    bool in_range = digits < NUMBER_DIGITS ||
                    (digits == NUMBER_DIGITS && memcmp(number.digits, "1000000000000000000", NUMBER_DIGITS) == 0);
    for (const char *digit = number.whole; digit < number.end; digit++) {
        in_range &= *digit == '0' || *digit == '.';
    }
    bool is_zero = *number.digits == '0';
    value->kind = in_range ? KEPT_TOKEN : KEPT_NONE;
    value->text = is_zero ? number.digits : at; /* there is one zero */
    value->length = (uint16_t)(number.whole - value->text);
    return end;
}

const char *read_token(const char *at, bool whole, KeptValue *value) {
    if (*at == '-' || is_decimal(*at)) {
        return read_number(at, value);
    }
    if (*at == '{' || *at == '[') {
        value->kind = KEPT_NONE;
        return skip_nested(at, whole);
    }
    const char *end = skip_word(at);
    value->kind = KEPT_TOKEN;
    value->text = at;
    value->length = end == NULL ? 0 : (uint16_t)(end - at);
    return end;
}
