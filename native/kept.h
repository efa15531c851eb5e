/* Kept fields: which names of an event they are, and their values as a line has them. */
#ifndef TILLROLL_KEPT_H
#define TILLROLL_KEPT_H

#include "json.h"
#include "names.h"

/* The node of a name in the object of a node; 0, the object of the event, when no field to be kept is there. */
static inline uint32_t keep_find(const Keep *keep, uint32_t parent, const char *name, size_t length) {
    if ((keep->lengths >> (length < 63 ? length : 63) & 1) == 0) {
        return 0;
    }
    uint32_t at;
    for (size_t slot = hash_text(parent, name, length); (at = keep->slots[slot & keep->slots_mask]) != 0; slot++) {
        const KeepNode *node = &keep->nodes[at];
        if (node->parent == parent && node->length == length && memcmp(keep->names + node->name, name, length) == 0) {
            return at;
        }
    }
    return 0;
}

#define VALUE_BYTES_MAX 256 /* of a text as JSON writes it, its quotes too */

const char *read_token(const char *at, bool whole, KeptValue *value); /* what is no text */

/* Read the value of a field to be kept; NULL when it is not certain what it is. */
static inline const char *read_kept(const char *at, bool whole, KeptValue *value) {
    if (*at != '"') {
        return read_token(at, whole, value);
    }
    Written written;
    const char *end = end_of_string(++at, &written);
    if (end == NULL || written.escaped) {
        return NULL;
    }
    size_t length = (size_t)(end - at);
    value->text = at;
    value->length = (uint16_t)length;
    value->kind = length > VALUE_BYTES_MAX - 2 ? KEPT_NONE : written.control ? KEPT_CONTROL : KEPT_TEXT;
    return end + 1;
}

/* The number of a value as it is spelled, in its batch. */
uint32_t keep_number(Names *names, const KeptValue *value);

/* Append a value, whatever it is and whatever is lacking before it. */
bool keep_add_slow(KeptField *field, const KeptValue *value, size_t index);

/* The number of a value, of which most are short, and have been seen a moment ago. */
static inline uint32_t find_number(KeptField *field, const KeptValue *value) {
    size_t length = value->length; /* at most 16 */
    uint64_t first = load64(value->text), last = length > 8 ? load64(value->text + length - 8) : 0;
    if (length < 8) {
        first &= (UINT64_C(1) << 8 * length) - 1;
    }
    uint64_t hash = (first ^ last << 1 ^ length) * UINT64_C(0x9E3779B97F4A7C15);
    KeptRecent *recent = &field->recent[hash >> 58];
    bool known = (recent->first == first) & (recent->last == last) & (recent->epoch == field->names.epoch) &
                 (recent->length == length) & (recent->kind == value->kind);
    if (!known) {
        uint32_t number = keep_number(&field->names, value);
        *recent = (KeptRecent){first, last, field->names.epoch, number, value->length, value->kind};
    }
    return recent->number;
}

/* Append the values of the next event, which has the number `index`; false when memory is out. */
static inline bool keep_add(Keep *keep, const KeptValue *values, size_t count, size_t index) {
    for (size_t i = 0; i < count; i++) {
        const KeptValue *value = &values[i];
        KeptField *field = &keep->fields[value->field];
        if (index >= field->size || field->filled < index || value->kind == KEPT_NONE || value->length > 16) {
            if (!keep_add_slow(field, value, index)) {
                return false;
            }
            continue;
        }
        uint32_t number = find_number(field, value);
        if (number == NAME_NO_MEMORY) {
            return false;
        }
        field->indexes[index] = number;
        field->filled = index + 1;
    }
    return true;
}

#endif
