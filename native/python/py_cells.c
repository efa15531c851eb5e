/* A segment's counters and sums. */
#include "bindings.h"

#include <stdlib.h>

#define SIZE_MOST (1 << 24)

static const char *const out_of_range = "a counter is out of range";

static void totals_free(Totals *totals) { free(totals->counts); }

/* Room for so many of each, all 0; false with an error. */
static bool totals_new(Totals *totals, size_t size) {
    totals->counts = calloc(3 * size + 1, sizeof *totals->counts);
    if (totals->counts == NULL) {
        return PyErr_NoMemory() != NULL;
    }
    totals->lows = totals->counts + size;
    totals->highs = totals->lows + size;
    return true;
}

static bool size_ok(Py_ssize_t size) {
    return (size >= 0 && size <= SIZE_MOST) || value_error("a segment's size is out of range") != NULL;
}

/* What cells hold; false with an error. */
static bool totals_read(PyObject *from, size_t size, const Totals *totals) {
    Py_buffer cells;
    if (PyObject_GetBuffer(from, &cells, PyBUF_SIMPLE) < 0) {
        return false;
    }
    bool fit = cells_fit(cells.buf, (size_t)cells.len, size);
    if (fit) {
        cells_read(cells.buf, (size_t)cells.len, size, totals);
    } else {
        PyErr_Format(PyExc_ValueError, "%zd bytes are not %zu counters", cells.len, size);
    }
    PyBuffer_Release(&cells);
    return fit;
}

static PyObject *cells_new(const Totals *totals, size_t size) {
    int widths[3];
    size_t length = cells_size(totals, size, widths);
    PyObject *cells = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
    if (cells != NULL && length != 0) {
        cells_write(totals, size, widths, (unsigned char *)PyBytes_AsString(cells));
    }
    return cells;
}

PyObject *py_read_counts(PyObject *module, PyObject *args) {
    PyObject *cells, *result = NULL;
    Py_ssize_t size;
    Totals totals = {NULL, NULL, NULL};
    if (!PyArg_ParseTuple(args, "On:read_counts", &cells, &size) || !size_ok(size)) {
        return NULL;
    }
    if (totals_new(&totals, (size_t)size) && totals_read(cells, (size_t)size, &totals)) {
        const uint64_t *columns[3] = {totals.counts, totals.lows, totals.highs};
        PyObject *parts[3];
        for (int i = 0; i < 3; i++) {
            parts[i] = array_new(state_of(module), CODE_Q, columns[i], (size_t)size);
        }
        result = tuple_take(parts, 3);
    }
    totals_free(&totals);
    return result;
}

PyObject *py_sum_counts(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *segments, *result = NULL;
    Py_ssize_t size;
    Totals totals = {NULL, NULL, NULL}, added = {NULL, NULL, NULL};
    if (!PyArg_ParseTuple(args, "On:sum_counts", &segments, &size) || !size_ok(size)) {
        return NULL;
    }
    Py_ssize_t count = PySequence_Size(segments);
    bool fine = count >= 0 && totals_new(&totals, (size_t)size) && totals_new(&added, (size_t)size);
    for (Py_ssize_t i = 0; fine && i < count; i++) {
        PyObject *segment = PySequence_GetItem(segments, i);
        fine = segment != NULL && totals_read(segment, (size_t)size, &added);
        Py_XDECREF(segment);
        fine = fine && (totals_add_all(&totals, &added, (size_t)size) || value_error(out_of_range) != NULL);
    }
    if (fine) {
        result = cells_new(&totals, (size_t)size);
    }
    totals_free(&totals);
    totals_free(&added);
    return result;
}

static bool add_each(const Totals *totals, uint64_t size, uint64_t first, const Column *columns, size_t start,
                     size_t stop) {
    const Column *codes = &columns[0], *counts = &columns[1], *lows = &columns[2], *highs = &columns[3];
    const uint64_t *code = codes->data, *count = counts->data, *low = lows->data, *high = highs->data;
    for (size_t i = start; i < stop; i++) {
        if (code[i] < first || code[i] - first >= size) {
            PyErr_Format(PyExc_ValueError, "code %llu is outside the segment at %llu", (unsigned long long)code[i],
                         (unsigned long long)first);
            return false;
        }
        if (!totals_add(totals, code[i] - first, count[i], low[i], highs->count == 0 ? 0 : high[i])) {
            return value_error(out_of_range) != NULL;
        }
    }
    return true;
}

PyObject *py_add_counts(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *cells, *from[4], *result = NULL;
    Column columns[4] = {{.held = false}, {.held = false}, {.held = false}, {.held = false}};
    const Column *codes = &columns[0], *counts = &columns[1], *lows = &columns[2], *highs = &columns[3];
    unsigned long long first;
    Py_ssize_t size, start = 0, stop = -1;
    Totals totals = {NULL, NULL, NULL};
    if (!PyArg_ParseTuple(args, "OKnOOOO|nn:add_counts", &cells, &first, &size, &from[0], &from[1], &from[2], &from[3],
                          &start, &stop) ||
        !size_ok(size)) {
        return NULL;
    }
    bool fine = totals_new(&totals, (size_t)size) && totals_read(cells, (size_t)size, &totals);
    for (int i = 0; fine && i < 4; i++) {
        fine = column_get(from[i], 'Q', &columns[i]);
    }
    if (fine) {
        size_t upto = stop < 0 ? codes->count : (size_t)stop;
        if (codes->count != counts->count || codes->count != lows->count ||
            (highs->count != 0 && highs->count != codes->count)) {
            value_error("columns differ in length");
        } else if (start < 0 || (size_t)start > upto || upto > codes->count) {
            value_error("there are not so many counts");
        } else if (add_each(&totals, (uint64_t)size, first, columns, (size_t)start, upto)) {
            result = cells_new(&totals, (size_t)size);
        }
    }
    totals_free(&totals);
    for (int i = 0; i < 4; i++) {
        column_release(&columns[i]);
    }
    return result;
}
