/* Rows of columns: picking, ordering, numbering, and where they stood in their bodies. */
#include "bindings.h"

#include <stdlib.h>

bool indexes_in(const Column *indexes, size_t size) {
    bool inside = indexes->count == 0 || largest_unsigned(indexes->data, 4, indexes->count) < size;
    return inside || value_error("an index is out of range") != NULL;
}

static PyObject *pick_column(State *state, const Column *column, Column *indexes) {
    int code = column->is_signed ? CODE_q : column->width == 8 ? CODE_Q : column->width == 4 ? CODE_I : CODE_B;
    if (column->width == 2) {
        return value_error("a column to pick from is of code q, Q, I or B");
    }
    bool heavy = indexes->view.len > LOCKED_BYTES_MAX;
    if (heavy && !column_own(indexes)) {
        return NULL;
    }
    if (!indexes_in(indexes, column->count)) {
        return NULL;
    }
    void *out = malloc(indexes->count * (size_t)column->width + 8);
    if (out != NULL) {
        UNLOCKED_IF(heavy, pick(column->data, column->width, indexes->data, indexes->count, out));
    }
    return array_take(state, code, out, indexes->count);
}

PyObject *py_pick(PyObject *module, PyObject *args) {
    PyObject *values, *wanted, *result = NULL;
    Column column, indexes = {.held = false};
    if (!PyArg_ParseTuple(args, "OO:pick", &values, &wanted) || !column_get(values, 0, &column)) {
        return NULL;
    }
    if (column_get(wanted, 'I', &indexes)) {
        result = pick_column(state_of(module), &column, &indexes);
    }
    column_release(&column);
    column_release(&indexes);
    return result;
}

PyObject *py_indexes_of(PyObject *module, PyObject *mask) {
    Py_buffer view;
    if (PyObject_GetBuffer(mask, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    const char *bytes = view.buf;
    size_t size = (size_t)view.len, count = 0;
    uint32_t *indexes = size > UINT32_MAX ? NULL : malloc((size + 1) * sizeof *indexes);
    for (size_t i = 0; indexes != NULL && i < size; i++) {
        indexes[count] = (uint32_t)i;
        count += bytes[i] != 0;
    }
    PyBuffer_Release(&view);
    return array_take(state_of(module), CODE_I, indexes, count);
}

/* The order that puts each row from `count` on before the row that `before` names for it. */
PyObject *py_interleave(PyObject *module, PyObject *args) {
    PyObject *places;
    Py_ssize_t count;
    Column before;
    if (!PyArg_ParseTuple(args, "nO:interleave", &count, &places) || !column_get(places, 'Q', &before)) {
        return NULL;
    }
    const uint64_t *at = before.data;
    size_t rows = (size_t)count, more = before.count, next = 0;
    bool rising = count >= 0 && rows + more <= UINT32_MAX;
    for (size_t i = 0; i < more && rising; i++) {
        rising = at[i] <= rows && (i == 0 || at[i] >= at[i - 1]);
    }
    uint32_t *order = rising ? malloc((rows + more) * sizeof *order + 8) : NULL;
    for (size_t row = 0, out = 0; order != NULL && row <= rows; row++) {
        for (; next < more && at[next] == row; next++) {
            order[out++] = (uint32_t)(rows + next);
        }
        if (row < rows) {
            order[out++] = (uint32_t)row;
        }
    }
    column_release(&before);
    if (!rising) {
        return value_error("the places do not rise, or are out of range");
    }
    return array_take(state_of(module), CODE_I, order, rows + more);
}

static PyObject *renumber_column(State *state, const Column *indexes, size_t size) {
    size_t count = indexes->count, used = 0;
    if (count != 0 && largest_unsigned(indexes->data, 4, count) >= size) {
        return value_error("an index is out of range");
    }
    const uint32_t *old = indexes->data;
    uint32_t *number = calloc(size + 1, sizeof *number), *fresh = malloc(count * sizeof *fresh + 8);
    uint32_t *order = malloc((count < size ? count : size) * sizeof *order + 8);
    PyObject *result = NULL;
    if (number == NULL || fresh == NULL || order == NULL) {
        PyErr_NoMemory();
    } else {
        for (size_t i = 0; i < count; i++) {
            if (number[old[i]] == 0) {
                order[used] = old[i];
                number[old[i]] = (uint32_t)++used;
            }
            fresh[i] = number[old[i]] - 1;
        }
        result = pair(array_new(state, CODE_I, fresh, count), array_new(state, CODE_I, order, used));
    }
    free(number);
    free(fresh);
    free(order);
    return result;
}

PyObject *py_renumber(PyObject *module, PyObject *args) {
    PyObject *values;
    Py_ssize_t size;
    Column indexes;
    if (!PyArg_ParseTuple(args, "On:renumber", &values, &size) || !column_get(values, 'I', &indexes)) {
        return NULL;
    }
    PyObject *result = size < 0 || (size_t)size >= UINT32_MAX
                           ? value_error("the size is out of range")
                           : renumber_column(state_of(module), &indexes, (size_t)size);
    column_release(&indexes);
    return result;
}

/* Positions of events in their bodies. */

static PyObject *gaps_of(State *state, const Column *positions, const Column *counts) {
    const uint64_t *position = positions->data, *events = counts->data;
    size_t start = 0, total = positions->count;
    uint64_t *gaps = malloc(total * sizeof *gaps + 8);
    const char *problem = NULL;
    for (size_t run = 0; gaps != NULL && problem == NULL && run < counts->count; run++) {
        if (events[run] == 0 || events[run] > total - start) {
            problem = "the runs do not add up to the events";
            break;
        }
        uint64_t first = position[start], gap = 0;
        for (size_t i = 0; i < events[run]; i++) {
            uint64_t next = position[start + i] - first - i;
            if (position[start + i] < first || position[start + i] - first < i || next < gap) {
                problem = "the positions in a run do not rise";
                break;
            }
            gaps[start + i] = gap = next;
        }
        start += events[run];
    }
    if (problem == NULL && start != total) {
        problem = "the runs do not add up to the events";
    }
    if (gaps != NULL && problem != NULL) {
        free(gaps);
        return value_error(problem);
    }
    return array_take(state, CODE_Q, gaps, total);
}

PyObject *py_gaps_of(PyObject *module, PyObject *args) {
    PyObject *places, *runs, *result = NULL;
    Column positions, counts = {.held = false};
    if (!PyArg_ParseTuple(args, "OO:gaps_of", &places, &runs) || !column_get(places, 'Q', &positions)) {
        return NULL;
    }
    if (column_get(runs, 'Q', &counts)) {
        result = gaps_of(state_of(module), &positions, &counts);
    }
    column_release(&positions);
    column_release(&counts);
    return result;
}

static PyObject *positions_of(State *state, const Column *firsts, const Column *counts, const Column *gaps) {
    const uint64_t *first = firsts->data, *events = counts->data, *gap = gaps->data;
    size_t start = 0, total = gaps->count;
    uint64_t *positions = malloc(total * sizeof *positions + 8);
    const char *problem = firsts->count == counts->count ? NULL : "the runs do not add up to the events";
    for (size_t run = 0; positions != NULL && problem == NULL && run < counts->count; run++) {
        if (events[run] == 0 || events[run] > total - start) {
            problem = "the runs do not add up to the events";
            break;
        }
        uint64_t before = 0, room = UINT64_MAX - first[run];
        for (size_t i = 0; i < events[run]; i++) {
            uint64_t skipped = gap[start + i];
            if (skipped < before || i > room || skipped > room - i) {
                problem = skipped < before ? "the positions in a run do not rise" : "a position is out of range";
                break;
            }
            positions[start + i] = first[run] + i + skipped;
            before = skipped;
        }
        start += events[run];
    }
    if (problem == NULL && start != total) {
        problem = "the runs do not add up to the events";
    }
    if (positions != NULL && problem != NULL) {
        free(positions);
        return value_error(problem);
    }
    return array_take(state, CODE_Q, positions, total);
}

PyObject *py_positions_of(PyObject *module, PyObject *args) {
    PyObject *starts, *runs, *skipped, *result = NULL;
    Column firsts, counts = {.held = false}, gaps = {.held = false};
    if (!PyArg_ParseTuple(args, "OOO:positions_of", &starts, &runs, &skipped) || !column_get(starts, 'Q', &firsts)) {
        return NULL;
    }
    if (column_get(runs, 'Q', &counts) && column_get(skipped, 'Q', &gaps)) {
        result = positions_of(state_of(module), &firsts, &counts, &gaps);
    }
    column_release(&firsts);
    column_release(&counts);
    column_release(&gaps);
    return result;
}
