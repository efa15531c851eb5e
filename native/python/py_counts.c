/* A segment's counters. */
#include "bindings.h"

#include <stdlib.h>

/* The counters of cells as 64-bit numbers, or NULL with an error. */
static uint64_t *counters(const Py_buffer *cells, size_t size) {
    size_t length = (size_t)cells->len, width = size == 0 ? 0 : length / size;
    bool width_ok = width == 1 || width == 2 || width == 4 || width == 8;
    if (length != 0 && (!width_ok || width * size != length)) {
        PyErr_Format(PyExc_ValueError, "%zu bytes are not %zu counters", length, size);
        return NULL;
    }
    uint64_t *totals = size > PY_SSIZE_T_MAX / 8 ? NULL : calloc(size + 1, sizeof *totals);
    if (totals == NULL) {
        PyErr_NoMemory();
    } else if (length != 0) {
        widen(cells->buf, (int)width, size, 0, 8, totals);
    }
    return totals;
}

PyObject *py_read_counts(PyObject *module, PyObject *args) {
    Py_buffer cells;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "y*n:read_counts", &cells, &size)) {
        return NULL;
    }
    uint64_t *totals = size < 0 ? NULL : counters(&cells, (size_t)size);
    PyBuffer_Release(&cells);
    if (size < 0) {
        return value_error("a segment has a negative size");
    }
    return totals == NULL ? NULL : array_take(state_of(module), CODE_Q, totals, (size_t)size);
}

PyObject *py_sum_counts(PyObject *module, PyObject *args) {
    PyObject *segments;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "On:sum_counts", &segments, &size)) {
        return NULL;
    }
    Py_ssize_t count = PySequence_Size(segments);
    if (count < 0 || size < 0) {
        return count < 0 ? NULL : value_error("a segment has a negative size");
    }
    uint64_t *totals = calloc((size_t)size + 1, sizeof *totals);
    bool fine = totals != NULL || PyErr_NoMemory() != NULL;
    for (Py_ssize_t i = 0; fine && i < count; i++) {
        PyObject *segment = PySequence_GetItem(segments, i);
        Py_buffer cells;
        uint64_t *added = NULL;
        if (segment != NULL && PyObject_GetBuffer(segment, &cells, PyBUF_SIMPLE) == 0) {
            added = counters(&cells, (size_t)size);
            PyBuffer_Release(&cells);
        }
        Py_XDECREF(segment);
        uint64_t carried = 0;
        for (Py_ssize_t j = 0; added != NULL && j < size; j++) {
            totals[j] += added[j];
            carried |= totals[j] < added[j];
        }
        fine = added != NULL && (!carried || value_error("a counter is out of range") != NULL);
        free(added);
    }
    if (!fine) {
        free(totals);
        return NULL;
    }
    return array_take(state_of(module), CODE_Q, totals, (size_t)size);
}

PyObject *py_measure_counts(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer cells;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "y*n:measure_counts", &cells, &size)) {
        return NULL;
    }
    uint64_t *values = size < 0 ? NULL : counters(&cells, (size_t)size);
    PyBuffer_Release(&cells);
    if (values == NULL) {
        return size < 0 ? value_error("a segment has a negative size") : NULL;
    }
    unsigned long long above_zero = 0, total = 0, carried = 0;
    for (Py_ssize_t i = 0; i < size; i++) {
        above_zero += values[i] > 0;
        total += values[i];
        carried |= total < values[i];
    }
    free(values);
    return carried ? value_error("a counter is out of range") : Py_BuildValue("KK", above_zero, total);
}

static bool add_to(uint64_t *totals, const Column *codes, const Column *counts, uint64_t first, uint64_t size) {
    const uint64_t *code = codes->data, *count = counts->data;
    for (size_t i = 0; i < codes->count; i++) {
        if (code[i] < first || code[i] - first >= size) {
            PyErr_Format(PyExc_ValueError, "code %llu is outside the segment at %llu", (unsigned long long)code[i],
                         (unsigned long long)first);
            return false;
        }
        if (count[i] > UINT64_MAX - totals[code[i] - first]) {
            value_error("a counter is out of range");
            return false;
        }
        totals[code[i] - first] += count[i];
    }
    return true;
}

PyObject *py_add_counts(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer cells;
    PyObject *codes_from, *counts_from, *result = NULL;
    Column codes = {.held = false}, counts = {.held = false};
    unsigned long long first;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "y*OOKn:add_counts", &cells, &codes_from, &counts_from, &first, &size)) {
        return NULL;
    }
    uint64_t *totals = size <= 0 ? (value_error("a segment has a size above zero"), NULL) : counters(&cells, (size_t)size);
    if (totals != NULL && column_get(codes_from, 'Q', &codes) && column_get(counts_from, 'Q', &counts)) {
        if (codes.count != counts.count) {
            value_error("columns differ in length");
        } else if (add_to(totals, &codes, &counts, first, (uint64_t)size)) {
            int width = width_for(largest_unsigned(totals, 8, (size_t)size));
            width = width == 0 ? 1 : width;
            result = PyBytes_FromStringAndSize(NULL, size * width);
            if (result != NULL) {
                narrow_unsigned(totals, 8, (size_t)size, 0, width, (unsigned char *)PyBytes_AsString(result));
            }
        }
    }
    free(totals);
    column_release(&codes);
    column_release(&counts);
    PyBuffer_Release(&cells);
    return result;
}

