/* Columns to rows of text. */
#include "bindings.h"

#include <stdlib.h>

#define PARTS_MAX 512 /* a part for each kept field, and two dozen more */
#define YEAR_1_S (-INT64_C(62135596800))
#define YEAR_10000_S INT64_C(253402300800)

static PyObject *bytes_of(size_t size, char **out) {
    PyObject *made = size > UINT32_MAX ? value_error("the text is longer than 4 GiB")
                                       : PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    *out = made == NULL ? NULL : PyBytes_AsString(made);
    return made;
}

/* name_texts */

enum { POSITIONS, RUN_EVENTS, RUN_KINDS, COLUMNS };

static bool runs_valid(const Named *events, size_t ids, size_t kinds, size_t values) {
    uint64_t left = events->count;
    bool fine = kinds == events->runs && values == events->runs && (ids == 0 || ids == events->count);
    for (size_t run = 0; fine && run < events->runs; run++) {
        fine = events->run_events[run] <= left && events->run_kinds[run] <= 4;
        left -= fine ? events->run_events[run] : 0;
    }
    return (fine && left == 0) ||
           value_error("the columns differ in length, or the runs do not add up, or are of no kind") != NULL;
}

static PyObject *names_of(State *state, Column *columns, Strings *ids, Strings *values) {
    size_t count = columns[POSITIONS].count;
    Named events = {.id_ends = ids->ends.count == 0 ? NULL : ids->ends.data, .ids = ids->text,
                    .positions = columns[POSITIONS].data, .count = count, .run_events = columns[RUN_EVENTS].data,
                    .run_kinds = columns[RUN_KINDS].data, .run_ends = values->ends.data, .run_values = values->text,
                    .runs = columns[RUN_EVENTS].count};
    if (!runs_valid(&events, ids->ends.count, columns[RUN_KINDS].count, values->ends.count)) {
        return NULL;
    }
    size_t size;
    UNLOCKED_IF(count > 1000, size = name_texts(&events, NULL, NULL));
    char *heap;
    PyObject *text = bytes_of(size, &heap);
    uint32_t *ends = malloc(count * sizeof *ends + 8);
    if (text == NULL || ends == NULL) {
        Py_XDECREF(text);
        free(ends);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    UNLOCKED_IF(count > 1000, name_texts(&events, ends, heap));
    return pair(array_take(state, CODE_I, ends, count), text);
}

PyObject *py_name_texts(PyObject *module, PyObject *args) {
    PyObject *id_ends, *id_bytes, *from[COLUMNS], *run_ends, *run_values, *result = NULL;
    static const char codes[COLUMNS] = {'Q', 'Q', 'B'};
    Column columns[COLUMNS] = {{.held = false}};
    Strings ids = {.held = false}, values = {.held = false};
    if (!PyArg_ParseTuple(args, "OOOOOOO:name_texts", &id_ends, &id_bytes, &from[POSITIONS], &from[RUN_EVENTS],
                          &from[RUN_KINDS], &run_ends, &run_values)) {
        return NULL;
    }
    bool got = true;
    for (int i = 0; got && i < COLUMNS; i++) {
        got = column_get(from[i], codes[i], &columns[i]) && column_own(&columns[i]);
    }
    if (got && strings_get(id_ends, id_bytes, &ids) && strings_own(&ids) && strings_get(run_ends, run_values, &values) &&
        strings_own(&values)) {
        result = names_of(state_of(module), columns, &ids, &values);
    }
    for (int i = 0; i < COLUMNS; i++) {
        column_release(&columns[i]);
    }
    strings_release(&ids);
    strings_release(&values);
    return result;
}

/* quote */

PyObject *py_quote(PyObject *module, PyObject *args) {
    PyObject *from, *heap, *result = NULL;
    int csv;
    Strings strings;
    if (!PyArg_ParseTuple(args, "OOp:quote", &from, &heap, &csv) || !strings_get(from, heap, &strings)) {
        return NULL;
    }
    if (!strings_own(&strings)) {
        return NULL;
    }
    size_t count = strings.ends.count, size;
    const uint32_t *ends = strings.ends.data;
    UNLOCKED_IF(count > 1000, size = quote(ends, count, strings.text, csv != 0, NULL, NULL));
    char *out;
    PyObject *text = bytes_of(size, &out);
    uint32_t *quoted = malloc(count * sizeof *quoted + 8);
    if (text != NULL && quoted != NULL) {
        UNLOCKED_IF(count > 1000, quote(ends, count, strings.text, csv != 0, quoted, out));
        result = pair(array_new(state_of(module), CODE_I, quoted, count), text);
    } else {
        Py_XDECREF(text);
        if (!PyErr_Occurred()) {
            PyErr_NoMemory();
        }
    }
    free(quoted);
    strings_release(&strings);
    return result;
}

/* Rows */

#define ROWS_AT_ONCE 4096 /* so that their text is still in the cache for whoever takes it */

/* What a part was made from, while it is held. */
typedef struct {
    Column values, nanos, kinds;
    Strings strings, ids;
} Held;

typedef struct {
    Owned owned;
    RowPart *parts;
    Held *held;
    char *befores;
    size_t count, rows, at;
    bool is_busy;
} RowsObject;

static bool instants_valid(const Column *seconds, const Column *nanos) {
    int64_t least, largest;
    if (seconds->count == 0) {
        return true;
    }
    bounds_signed(seconds->data, seconds->count, &least, &largest);
    bool fine = least >= YEAR_1_S && largest < YEAR_10000_S && largest_unsigned(nanos->data, 4, nanos->count) < 1000000000;
    return fine || value_error("an instant is outside the years 0001 to 9999") != NULL;
}

static bool numbers_valid(const Column *numbers) {
    int64_t least = 0, largest;
    if (numbers->count != 0) {
        bounds_signed(numbers->data, numbers->count, &least, &largest);
    }
    return least >= 0 || value_error("a number is negative") != NULL;
}

static bool own(PyObject *from, char code, size_t rows, Column *column) {
    if (!column_get(from, code, column) || !column_own(column)) {
        return false;
    }
    return column->count == rows || value_error("columns differ in length") != NULL;
}

static bool own_strings(PyObject *ends, PyObject *heap, Strings *strings) {
    return strings_get(ends, heap, strings) && strings_own(strings);
}

/* From ids, positions, events and kinds of runs, and the runs' values; strings are as they are to be written. */
static bool names_get(PyObject *tuple, size_t rows, RowPart *part, Held *held) {
    PyObject *from[7];
    for (Py_ssize_t i = 0; i < 7; i++) {
        from[i] = PyTuple_GetItem(tuple, 2 + i);
    }
    if (!own_strings(from[0], from[1], &held->ids) || !own(from[2], 'Q', rows, &held->values) ||
        !column_get(from[3], 'Q', &held->nanos) || !column_own(&held->nanos) || !column_get(from[4], 'B', &held->kinds) ||
        !column_own(&held->kinds) || !own_strings(from[5], from[6], &held->strings)) {
        return false;
    }
    part->named = (Named){.id_ends = held->ids.ends.count == 0 ? NULL : held->ids.ends.data, .ids = held->ids.text,
                          .positions = held->values.data, .count = rows, .run_events = held->nanos.data,
                          .run_kinds = held->kinds.data, .run_ends = held->strings.ends.data,
                          .run_values = held->strings.text, .runs = held->nanos.count};
    part->ids_size = (size_t)held->ids.heap.len;
    return runs_valid(&part->named, held->ids.ends.count, held->kinds.count, held->strings.ends.count);
}

/* Fill a part from its tuple: before, kind, and what the kind takes. False with an error. */
static bool part_get(PyObject *tuple, size_t rows, RowPart *part, Held *held) {
    char *before;
    Py_ssize_t size, items = PyTuple_Check(tuple) ? PyTuple_Size(tuple) : 0;
    *part = (RowPart){0};
    if (items < 2 || items > 9) {
        return value_error("there is no such part of a row") != NULL;
    }
    if (PyBytes_AsStringAndSize(PyTuple_GetItem(tuple, 0), &before, &size) < 0) {
        return false;
    }
    long kind = PyLong_AsLong(PyTuple_GetItem(tuple, 1));
    if (kind == -1 && PyErr_Occurred()) {
        return false;
    }
    part->before = before;
    part->before_size = (size_t)size;
    part->kind = (int)kind;
    PyObject *one = items < 3 ? NULL : PyTuple_GetItem(tuple, 2), *two = items < 4 ? NULL : PyTuple_GetItem(tuple, 3);
    bool fine;
    switch (kind < 0 || kind > ROW_NAME ? 0 : items * 10 + kind) {
    case 20 + ROW_LITERAL:
        return true;
    case 40 + ROW_INSTANT:
        fine = own(one, 'q', rows, &held->values) && own(two, 'I', rows, &held->nanos) &&
               instants_valid(&held->values, &held->nanos);
        part->nanos = held->nanos.data;
        break;
    case 30 + ROW_NUMBER:
        fine = own(one, 'q', rows, &held->values) && numbers_valid(&held->values);
        break;
    case 50 + ROW_CHOICE:
        fine = own(one, 0, rows, &held->values) && own_strings(two, PyTuple_GetItem(tuple, 4), &held->strings);
        if (fine && held->values.width != 1 && held->values.width != 4) {
            fine = value_error("codes are of one or four bytes") != NULL;
        }
        if (fine && rows != 0 &&
            largest_unsigned(held->values.data, held->values.width, rows) >= held->strings.ends.count) {
            fine = value_error("a code is out of range") != NULL;
        }
        break;
    case 40 + ROW_TEXT:
        fine = own_strings(one, two, &held->strings);
        if (fine && held->strings.ends.count != rows) {
            fine = value_error("columns differ in length") != NULL;
        }
        break;
    case 90 + ROW_NAME:
        return names_get(tuple, rows, part, held);
    default:
        return value_error("there is no such part of a row") != NULL;
    }
    part->width = held->values.width;
    part->values = held->values.data;
    part->ends = held->strings.ends.data;
    part->heap = held->strings.text;
    part->heap_size = fine && held->strings.held ? (size_t)held->strings.heap.len : 0;
    return fine;
}

static void rows_dealloc(PyObject *object) {
    RowsObject *self = (RowsObject *)object;
    for (size_t i = 0; self->held != NULL && i < self->count; i++) {
        column_release(&self->held[i].values);
        column_release(&self->held[i].nanos);
        column_release(&self->held[i].kinds);
        strings_release(&self->held[i].strings);
        strings_release(&self->held[i].ids);
    }
    free(self->parts);
    free(self->held);
    free(self->befores);
    owned_free(object);
}

/* What stands before the values, together, so that each can be read beyond its end. */
static bool gather_befores(RowsObject *self) {
    size_t size = ROW_PADDING;
    for (size_t i = 0; i < self->count; i++) {
        size += self->parts[i].before_size;
    }
    char *at = self->befores = calloc(size, 1);
    for (size_t i = 0; at != NULL && i < self->count; i++) {
        RowPart *part = &self->parts[i];
        memcpy(at, part->before, part->before_size);
        part->before = at;
        part->before_is_padded = true;
        at += part->before_size;
    }
    return at != NULL || PyErr_NoMemory() != NULL;
}

static bool rows_get(RowsObject *self, PyObject *args) {
    PyObject *list;
    Py_ssize_t rows;
    if (!PyArg_ParseTuple(args, "O!n:Rows", &PyList_Type, &list, &rows)) {
        return false;
    }
    PyObject *tuples = PyList_AsTuple(list); /* keeps the parts, whatever becomes of the list */
    Py_ssize_t count = tuples == NULL ? -1 : PyTuple_Size(tuples);
    if (count < 0 || count > PARTS_MAX || rows < 0) {
        Py_XDECREF(tuples);
        return tuples == NULL ? false : value_error("there are too many parts, or a negative number of rows") != NULL;
    }
    self->rows = (size_t)rows;
    self->parts = calloc((size_t)count + 1, sizeof *self->parts);
    self->held = calloc((size_t)count + 1, sizeof *self->held);
    bool fine = (self->parts != NULL && self->held != NULL) || PyErr_NoMemory() != NULL;
    for (Py_ssize_t i = 0; fine && i < count; i++) {
        self->count++;
        fine = part_get(PyTuple_GetItem(tuples, i), self->rows, &self->parts[i], &self->held[i]);
    }
    fine = fine && gather_befores(self);
    Py_DECREF(tuples);
    return fine;
}

static PyObject *rows_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs)) {
    PyObject *nothing = PyTuple_New(0);
    RowsObject *self = nothing == NULL ? NULL : (RowsObject *)owned_new(type, nothing, NULL);
    Py_XDECREF(nothing);
    if (self != NULL && !rows_get(self, args)) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

/* The next rows, NULL without an error at their end. */
static PyObject *rows_next(PyObject *object) {
    RowsObject *self = (RowsObject *)object;
    size_t first = self->at, left = self->rows - first, stop = first + (left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE), size;
    if (left == 0) {
        return NULL;
    }
    if (self->is_busy) {
        return value_error("rows are written by one thread at a time");
    }
    self->is_busy = true;
    char *out;
    UNLOCKED_IF(stop - first > 1000, size = rows_size(self->parts, self->count, first, stop));
    PyObject *text = bytes_of(size, &out);
    if (text != NULL) {
        UNLOCKED_IF(stop - first > 1000, format_rows(self->parts, self->count, first, stop, out, size));
        self->at = stop;
    }
    self->is_busy = false;
    return text;
}

static PyType_Slot rows_slots[] = {
    {Py_tp_doc, "Rows of text, some at a time; see tillroll.core.rows."},
    {Py_tp_new, rows_new},
    {Py_tp_dealloc, rows_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, rows_next},
    {0, NULL},
};

PyType_Spec rows_spec = {
    .name = "tillroll._kernel.Rows",
    .basicsize = sizeof(RowsObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = rows_slots,
};
