/* Identities of events: their rows in an index of names, and events compared by columns. */
#include "bindings.h"

#include <stdlib.h>

#define KEY_BYTES 16

static bool key_of(const Py_buffer *bytes, NameKey *key) {
    if (bytes->len != KEY_BYTES) {
        return value_error("a key has 16 bytes") != NULL;
    }
    key->low = load64(bytes->buf);
    key->high = load64((const char *)bytes->buf + 8);
    return true;
}

PyObject *py_hash_name(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer bytes, value;
    long long second;
    unsigned long nanos;
    unsigned char kind;
    unsigned long long position;
    if (!PyArg_ParseTuple(args, "y*Lkby*K:hash_name", &bytes, &second, &nanos, &kind, &value, &position)) {
        return NULL;
    }
    NameKey key;
    PyObject *result = NULL;
    if (key_of(&bytes, &key)) {
        EventName name = {.second = second, .nanos = (uint32_t)nanos, .kind = kind, .value = value.buf,
                          .length = (size_t)value.len, .position = position};
        result = PyLong_FromLongLong(hash_name(key, &name));
    }
    PyBuffer_Release(&bytes);
    PyBuffer_Release(&value);
    return result;
}

/* What name_rows takes, in the order of its arguments. */
enum { SECONDS, NANOS, POSITIONS, RUN_EVENTS, RUN_KINDS, COLUMNS };

static bool runs_add_up(const Column *columns, const Strings *values) {
    const uint64_t *events = columns[RUN_EVENTS].data;
    uint64_t left = columns[SECONDS].count;
    bool fine = columns[NANOS].count == left && columns[POSITIONS].count == left &&
                columns[RUN_KINDS].count == columns[RUN_EVENTS].count && values->ends.count == columns[RUN_EVENTS].count;
    for (size_t run = 0; fine && run < columns[RUN_EVENTS].count; run++) {
        fine = events[run] != 0 && events[run] <= left;
        left -= fine ? events[run] : 0;
    }
    return (fine && left == 0) || value_error("the columns differ in length, or the runs do not add up") != NULL;
}

static PyObject *rows_of(State *state, NameKey key, Column *columns, Strings *ids, Strings *values) {
    bool heavy = columns[SECONDS].view.len > LOCKED_BYTES_MAX;
    if (heavy && !(column_own(&columns[RUN_EVENTS]) && strings_own(ids) && strings_own(values))) {
        return NULL;
    }
    size_t count = columns[SECONDS].count;
    if (!runs_add_up(columns, values)) {
        return NULL;
    }
    if (ids->ends.count != 0 && ids->ends.count != count) {
        return value_error("the columns differ in length, or the runs do not add up");
    }
    Named events = {columns[SECONDS].data, columns[NANOS].data, ids->ends.count == 0 ? NULL : ids->ends.data, ids->text,
                    columns[POSITIONS].data, count, columns[RUN_EVENTS].data, columns[RUN_KINDS].data, values->ends.data,
                    values->text, columns[RUN_EVENTS].count};
    NameRow *rows = malloc((count + 1) * sizeof *rows);
    size_t used = 0;
    Status status = NO_MEMORY;
    if (rows != NULL) {
        UNLOCKED_IF(heavy, status = name_rows(key, &events, rows, &used));
    }
    if (status != DONE) {
        free(rows);
        return PyErr_NoMemory();
    }
    return array_take(state, CODE_q, rows, used * (sizeof *rows / sizeof(int64_t)));
}

PyObject *py_name_rows(PyObject *module, PyObject *args) {
    static const char codes[COLUMNS] = {'q', 'I', 'Q', 'Q', 'B'};
    Py_buffer bytes;
    PyObject *from[COLUMNS], *id_ends, *id_heap, *value_ends, *value_heap, *result = NULL;
    Column columns[COLUMNS];
    Strings ids = {.held = false}, values = {.held = false};
    NameKey key;
    if (!PyArg_ParseTuple(args, "y*OOOOOOOOO:name_rows", &bytes, &from[SECONDS], &from[NANOS], &id_ends, &id_heap,
                          &from[POSITIONS], &from[RUN_EVENTS], &from[RUN_KINDS], &value_ends, &value_heap)) {
        return NULL;
    }
    int held = 0;
    while (held < COLUMNS && column_get(from[held], codes[held], &columns[held])) {
        held++;
    }
    if (held == COLUMNS && key_of(&bytes, &key) && strings_get(id_ends, id_heap, &ids) &&
        strings_get(value_ends, value_heap, &values)) {
        result = rows_of(state_of(module), key, columns, &ids, &values);
    }
    while (held > 0) {
        column_release(&columns[--held]);
    }
    strings_release(&ids);
    strings_release(&values);
    PyBuffer_Release(&bytes);
    return result;
}

PyObject *py_same_slots(PyObject *module, PyObject *from) {
    Column rows;
    if (!column_get(from, 'q', &rows)) {
        return NULL;
    }
    size_t count = rows.count / 3;
    uint32_t *later = malloc((count + 1) * sizeof *later), *first = malloc((count + 1) * sizeof *first);
    PyObject *result = NULL;
    if (later == NULL || first == NULL) {
        PyErr_NoMemory();
    } else if (rows.count % 3 != 0) {
        value_error("a row has three items");
    } else {
        size_t used = same_slots(rows.data, count, later, first);
        result = pair(array_new(state_of(module), CODE_I, later, used), array_new(state_of(module), CODE_I, first, used));
    }
    free(later);
    free(first);
    column_release(&rows);
    return result;
}

static bool rises(const Column *column) {
    const uint64_t *values = column->data;
    bool rising = column->count <= UINT32_MAX;
    for (size_t i = 1; i < column->count; i++) {
        rising &= values[i - 1] < values[i];
    }
    return rising || value_error("the values do not rise") != NULL;
}

PyObject *py_intersect(PyObject *module, PyObject *args) {
    PyObject *from, *other_from, *result = NULL;
    Column one, other = {.held = false};
    if (!PyArg_ParseTuple(args, "OO:intersect", &from, &other_from) || !column_get(from, 'Q', &one)) {
        return NULL;
    }
    if (column_get(other_from, 'Q', &other) && rises(&one) && rises(&other)) {
        size_t most = one.count < other.count ? one.count : other.count;
        uint32_t *at = malloc((most + 1) * sizeof *at), *other_at = malloc((most + 1) * sizeof *other_at);
        if (at == NULL || other_at == NULL) {
            PyErr_NoMemory();
        } else {
            size_t used = intersect(one.data, one.count, other.data, other.count, at, other_at);
            result = pair(array_new(state_of(module), CODE_I, at, used), array_new(state_of(module), CODE_I, other_at, used));
        }
        free(at);
        free(other_at);
    }
    column_release(&one);
    column_release(&other);
    return result;
}

/* Two columns of places that are compared pair by pair. */
typedef struct {
    Column at, other_at;
    bool heavy;
} Pairs;

static void pairs_release(Pairs *pairs) {
    column_release(&pairs->at);
    column_release(&pairs->other_at);
}

static bool pairs_get(PyObject *at, PyObject *other_at, size_t size, size_t other_size, Pairs *pairs) {
    pairs->at.held = pairs->other_at.held = false;
    bool got = column_get(at, 'I', &pairs->at) && column_get(other_at, 'I', &pairs->other_at);
    pairs->heavy = got && pairs->at.view.len > LOCKED_BYTES_MAX;
    if (got && pairs->heavy) {
        got = column_own(&pairs->at) && column_own(&pairs->other_at);
    }
    if (got && pairs->at.count != pairs->other_at.count) {
        got = value_error("columns differ in length") != NULL;
    }
    if (!got || !indexes_in(&pairs->at, size) || !indexes_in(&pairs->other_at, other_size)) {
        pairs_release(pairs);
        return false;
    }
    return true;
}

static PyObject *compared(const Column *one, const Column *other, const Pairs *pairs) {
    if (one->width != other->width || one->is_signed != other->is_signed) {
        return value_error("columns of two codes are not compared");
    }
    PyObject *mask = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)pairs->at.count);
    char *out = mask == NULL ? NULL : PyBytes_AsString(mask);
    if (out != NULL) {
        UNLOCKED_IF(pairs->heavy,
                    equal_at(one->data, pairs->at.data, other->data, pairs->other_at.data, one->width, pairs->at.count, out));
    }
    return mask;
}

PyObject *py_equal_at(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *from, *at, *other_from, *other_at, *result = NULL;
    Column one, other = {.held = false};
    Pairs pairs;
    if (!PyArg_ParseTuple(args, "OOOO:equal_at", &from, &at, &other_from, &other_at) || !column_get(from, 0, &one)) {
        return NULL;
    }
    if (column_get(other_from, 0, &other) && pairs_get(at, other_at, one.count, other.count, &pairs)) {
        result = compared(&one, &other, &pairs);
        pairs_release(&pairs);
    }
    column_release(&one);
    column_release(&other);
    return result;
}

static PyObject *compared_strings(Strings *one, Strings *other, const Pairs *pairs) {
    if (pairs->heavy && !(strings_own(one) && strings_own(other))) {
        return NULL;
    }
    PyObject *mask = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)pairs->at.count);
    char *out = mask == NULL ? NULL : PyBytes_AsString(mask);
    if (out != NULL) {
        UNLOCKED_IF(pairs->heavy, equal_strings_at(one->ends.data, one->text, pairs->at.data, other->ends.data, other->text,
                                                   pairs->other_at.data, pairs->at.count, out));
    }
    return mask;
}

PyObject *py_equal_strings_at(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *ends, *heap, *at, *other_ends, *other_heap, *other_at, *result = NULL;
    Strings one, other = {.held = false};
    Pairs pairs;
    if (!PyArg_ParseTuple(args, "OOOOOO:equal_strings_at", &ends, &heap, &at, &other_ends, &other_heap, &other_at) ||
        !strings_get(ends, heap, &one)) {
        return NULL;
    }
    if (strings_get(other_ends, other_heap, &other) &&
        pairs_get(at, other_at, one.ends.count, other.ends.count, &pairs)) {
        result = compared_strings(&one, &other, &pairs);
        pairs_release(&pairs);
    }
    strings_release(&one);
    strings_release(&other);
    return result;
}

PyObject *py_place(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_ssize_t size;
    PyObject *wanted, *mask = NULL;
    Py_buffer values;
    Column indexes;
    if (!PyArg_ParseTuple(args, "nOy*:place", &size, &wanted, &values)) {
        return NULL;
    }
    if (column_get(wanted, 'I', &indexes)) {
        if (size < 0 || indexes.count != (size_t)values.len) {
            value_error("columns differ in length");
        } else if (indexes_in(&indexes, (size_t)size) && (mask = PyBytes_FromStringAndSize(NULL, size)) != NULL) {
            char *out = PyBytes_AsString(mask);
            const uint32_t *at = indexes.data;
            memset(out, 0, (size_t)size);
            for (size_t i = 0; i < indexes.count; i++) {
                out[at[i]] = ((const char *)values.buf)[i];
            }
        }
        column_release(&indexes);
    }
    PyBuffer_Release(&values);
    return mask;
}
