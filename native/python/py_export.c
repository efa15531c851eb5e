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

static PyObject *names_of(State *state, Column *columns, Strings *ids, Strings *values) {
    const uint64_t *run_events = columns[RUN_EVENTS].data;
    const uint8_t *kinds = columns[RUN_KINDS].data;
    size_t count = columns[POSITIONS].count, runs = columns[RUN_EVENTS].count;
    uint64_t left = count;
    bool fine = columns[RUN_KINDS].count == runs && values->ends.count == runs &&
                (ids->ends.count == 0 || ids->ends.count == count);
    for (size_t run = 0; fine && run < runs; run++) {
        fine = run_events[run] <= left && kinds[run] <= 4;
        left -= fine ? run_events[run] : 0;
    }
    if (!fine || left != 0) {
        return value_error("the columns differ in length, or the runs do not add up, or are of no kind");
    }
    Named events = {.id_ends = ids->ends.count == 0 ? NULL : ids->ends.data, .ids = ids->text,
                    .positions = columns[POSITIONS].data, .count = count, .run_events = run_events, .run_kinds = kinds,
                    .run_ends = values->ends.data, .run_values = values->text, .runs = runs};
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

/* format_rows */

/* What a part was made from, while it is held. */
typedef struct {
    Column values, nanos;
    Strings strings;
} Held;

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

/* Fill a part from its tuple: before, kind, and what the kind takes. False with an error. */
static bool part_get(PyObject *tuple, size_t rows, RowPart *part, Held *held) {
    PyObject *one = NULL, *two = NULL, *three = NULL;
    Py_ssize_t size;
    *part = (RowPart){0};
    if (!PyTuple_Check(tuple) ||
        !PyArg_ParseTuple(tuple, "y#i|OOO:a part", &part->before, &size, &part->kind, &one, &two, &three)) {
        return PyErr_Occurred() ? false : value_error("a part is a tuple") != NULL;
    }
    part->before_size = (size_t)size;
    bool fine;
    switch (PyTuple_Size(tuple) * 10 + part->kind) {
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
        fine = own(one, 0, rows, &held->values) && own_strings(two, three, &held->strings);
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
    default:
        return value_error("there is no such part of a row") != NULL;
    }
    part->width = held->values.width;
    part->values = held->values.data;
    part->ends = held->strings.ends.data;
    part->heap = held->strings.text;
    return fine;
}

static PyObject *rows_of(const RowPart *parts, size_t count, size_t rows) {
    size_t size;
    char *out;
    UNLOCKED_IF(rows > 1000, size = rows_size(parts, count, rows));
    PyObject *text = bytes_of(size, &out);
    if (text != NULL) {
        UNLOCKED_IF(rows > 1000, format_rows(parts, count, rows, out));
    }
    return text;
}

PyObject *py_format_rows(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *list, *result = NULL;
    Py_ssize_t rows;
    if (!PyArg_ParseTuple(args, "O!n:format_rows", &PyList_Type, &list, &rows)) {
        return NULL;
    }
    Py_ssize_t count = PyList_Size(list);
    if (count > PARTS_MAX || rows < 0) {
        return value_error("there are too many parts, or a negative number of rows");
    }
    RowPart *parts = calloc((size_t)count + 1, sizeof *parts);
    Held *held = calloc((size_t)count + 1, sizeof *held);
    PyObject *tuples = PyList_AsTuple(list); /* keeps the parts, whatever becomes of the list */
    if (parts == NULL || held == NULL || tuples == NULL) {
        free(parts);
        free(held);
        Py_XDECREF(tuples);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    bool fine = true;
    Py_ssize_t got = 0;
    for (; fine && got < PyTuple_Size(tuples); got++) {
        fine = part_get(PyTuple_GetItem(tuples, got), (size_t)rows, &parts[got], &held[got]);
    }
    if (fine) {
        result = rows_of(parts, (size_t)got, (size_t)rows);
    }
    while (got > 0) {
        got--;
        column_release(&held[got].values);
        column_release(&held[got].nanos);
        strings_release(&held[got].strings);
    }
    Py_DECREF(tuples);
    free(parts);
    free(held);
    return result;
}
