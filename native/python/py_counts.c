/* Counting: a segment's counters, and grouping. */
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
    const uint64_t *code = codes->view.buf, *count = counts->view.buf;
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

/* Grouping. */

static bool key_get(PyObject *keys, Py_ssize_t index, Key *found) {
    PyObject *key = PySequence_GetItem(keys, index);
    const char *name = key == NULL ? NULL : PyUnicode_AsUTF8AndSize(key, NULL);
    if (name != NULL) {
        *found = strcmp(name, "bracket") == 0 ? KEY_BRACKET : strcmp(name, "method") == 0 ? KEY_METHOD : KEY_MERCHANT;
    }
    Py_XDECREF(key);
    return name != NULL;
}

/* A way to group, from (seconds of a window, keys). */
static bool way_get(PyObject *from, Way *way) {
    PyObject *window = PySequence_GetItem(from, 0), *keys = window == NULL ? NULL : PySequence_GetItem(from, 1);
    long window_s = keys == NULL ? -1 : PyLong_AsLong(window);
    Py_ssize_t count = keys == NULL ? -1 : PySequence_Size(keys);
    bool got = count >= 0 && !PyErr_Occurred();
    if (got && (window_s < 0 || window_s > INT32_MAX)) {
        value_error("a window's length is out of range");
        got = false;
    } else if (got && count > 3) {
        value_error("a report has at most three keys");
        got = false;
    }
    for (Py_ssize_t i = 0; got && i < count; i++) {
        got = key_get(keys, i, &way->keys[i]);
    }
    way->window_s = (uint32_t)window_s;
    way->keys_count = (int)count;
    Py_XDECREF(window);
    Py_XDECREF(keys);
    return got;
}

/* How many ways there are; -1 with an error. */
static int ways_get(PyObject *from, Way *ways) {
    Py_ssize_t count = PySequence_Size(from);
    if (count > WAYS_MAX) {
        value_error("there are too many ways to group");
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *way = PySequence_GetItem(from, i);
        bool got = way != NULL && way_get(way, &ways[i]);
        Py_XDECREF(way);
        if (!got) {
            return -1;
        }
    }
    return (int)count;
}

/* The ids of merchants as 64-bit numbers, from any buffer or sequence; NULL with an error. */
static uint64_t *merchant_ids_get(PyObject *from, size_t *count) {
    if (PyObject_CheckBuffer(from)) {
        Column column;
        if (!column_get(from, 0, &column)) {
            return NULL;
        }
        *count = column.count;
        uint64_t *ids = malloc(column.count * sizeof *ids + 8);
        if (ids == NULL) {
            PyErr_NoMemory();
        } else {
            widen(column.view.buf, column.width, column.count, 0, 8, ids);
        }
        column_release(&column);
        return ids;
    }
    Py_ssize_t size = PySequence_Size(from);
    uint64_t *ids = size < 0 ? NULL : malloc((size_t)size * sizeof *ids + 8);
    for (Py_ssize_t i = 0; ids != NULL && i < size; i++) {
        PyObject *item = PySequence_GetItem(from, i);
        ids[i] = item == NULL ? 0 : PyLong_AsUnsignedLongLong(item);
        Py_XDECREF(item);
        if (PyErr_Occurred()) {
            free(ids);
            return NULL;
        }
    }
    if (ids == NULL && size >= 0) {
        PyErr_NoMemory();
    }
    *count = (size_t)size;
    return ids;
}

static PyObject *groups_new(State *state, const Groups *groups) {
    PyObject *windows = array_new(state, CODE_q, groups->windows, groups->count);
    PyObject *codes = array_new(state, CODE_Q, groups->codes, groups->count);
    PyObject *counts = array_new(state, CODE_Q, groups->counts, groups->count);
    PyObject *result =
        windows == NULL || codes == NULL || counts == NULL ? NULL : PyTuple_Pack(3, windows, codes, counts);
    Py_XDECREF(windows);
    Py_XDECREF(codes);
    Py_XDECREF(counts);
    return result;
}

static PyObject *group_events(State *state, const Events *events, const Way *ways, int count) {
    Groups groups[WAYS_MAX];
    Status status;
    const char *problem = NULL;
    UNLOCKED_IF(events->count * 8 > LOCKED_BYTES_MAX, status = group(events, ways, count, groups, &problem));
    PyObject *result = status == NO_MEMORY ? PyErr_NoMemory() : status == INVALID ? value_error(problem) : PyList_New(0);
    for (int way = 0; way < count; way++) {
        PyObject *one = result == NULL ? NULL : groups_new(state, &groups[way]);
        if (one == NULL || PyList_Append(result, one) < 0) {
            Py_CLEAR(result);
        }
        Py_XDECREF(one);
        groups_free(&groups[way]);
    }
    return result;
}

PyObject *py_group(PyObject *module, PyObject *args) {
    PyObject *from[4], *ids, *ways_from, *result = NULL;
    Events events;
    Way ways[WAYS_MAX];
    Column columns[4];
    static const char codes[] = "qqBI";
    if (!PyArg_ParseTuple(args, "OOOOOO:group", &from[0], &from[1], &from[2], &from[3], &ids, &ways_from)) {
        return NULL;
    }
    int count = ways_get(ways_from, ways);
    uint64_t *merchant_ids = count < 0 ? NULL : merchant_ids_get(ids, &events.merchant_count);
    if (merchant_ids == NULL) {
        return NULL;
    }
    int held = 0;
    bool even = true;
    while (held < 4 && column_get(from[held], codes[held], &columns[held])) {
        even &= columns[held].count == columns[0].count;
        held++;
    }
    if (held == 4 && !even) {
        value_error("columns differ in length");
    } else if (held == 4) {
        events.seconds = columns[0].view.buf;
        events.amounts = columns[1].view.buf;
        events.methods = columns[2].view.buf;
        events.merchants = columns[3].view.buf;
        events.count = columns[0].count;
        events.merchant_ids = merchant_ids;
        result = group_events(state_of(module), &events, ways, count);
    }
    while (held > 0) {
        column_release(&columns[--held]);
    }
    free(merchant_ids);
    return result;
}
