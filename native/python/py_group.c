/* Grouping. */
#include "bindings.h"

#include <stdlib.h>

/* What was borrowed from Python for one call. */
typedef struct {
    Column held[GROUP_COLUMNS_MAX], weights;
    GroupColumn columns[GROUP_COLUMNS_MAX];
    int count;
} Borrowed;

static void borrowed_release(Borrowed *borrowed) {
    for (int i = 0; i < borrowed->count; i++) {
        column_release(&borrowed->held[i]);
    }
    column_release(&borrowed->weights);
}

/* A column from (codes, radix), or from (parent, table, radix). */
static bool group_column_get(PyObject *from, Column *held, GroupColumn *column) {
    PyObject *parent = NULL, *codes, *radix;
    Py_ssize_t parts = PyTuple_Size(from);
    if (parts == 2 ? !PyArg_ParseTuple(from, "OO", &codes, &radix)
                   : !PyArg_ParseTuple(from, "OOO", &parent, &codes, &radix)) {
        return false;
    }
    long of = parent == NULL ? -1 : PyLong_AsLong(parent);
    unsigned long long below = PyLong_AsUnsignedLongLong(radix);
    if (PyErr_Occurred() || !column_get(codes, 0, held)) {
        return false;
    }
    if (held->is_signed || (parent != NULL && of < 0)) {
        value_error(held->is_signed ? "codes are not below 0" : "a column is a table of none before it");
        return false;
    }
    if (held->count * 8 > LOCKED_BYTES_MAX && !column_own(held)) { /* codes are checked, and then used without the lock */
        return false;
    }
    *column = (GroupColumn){held->data, held->width, of > INT32_MAX ? INT32_MAX : (int)of, held->count, below};
    return true;
}

static bool columns_borrow(PyObject *from, Borrowed *borrowed) {
    Py_ssize_t count = PySequence_Size(from);
    if (count > GROUP_COLUMNS_MAX) {
        value_error("there are too many columns to group by");
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *column = PySequence_GetItem(from, i);
        borrowed->held[i].held = false;
        borrowed->count = (int)i + 1;
        bool got = column != NULL && group_column_get(column, &borrowed->held[i], &borrowed->columns[i]);
        Py_XDECREF(column); /* the buffer keeps its owner */
        if (!got) {
            return false;
        }
    }
    return count >= 0;
}

static bool digit_get(PyObject *from, int columns, Grouping *grouping, int *used) {
    Py_ssize_t count = PySequence_Size(from);
    if (count < 0 || *used + count > GROUP_COLUMNS_MAX) {
        return count < 0 ? false : value_error("a grouping has too many columns") != NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PySequence_GetItem(from, i);
        long index = item == NULL ? -1 : PyLong_AsLong(item);
        Py_XDECREF(item);
        if (PyErr_Occurred()) {
            return false;
        }
        if (index < 0 || index >= columns) {
            return value_error("a grouping is by a column that is not there") != NULL;
        }
        grouping->columns[(*used)++] = (int)index;
    }
    return true;
}

static bool grouping_get(PyObject *from, int columns, Grouping *grouping) {
    Py_ssize_t digits = PySequence_Size(from);
    int used = 0;
    if (digits < 0 || digits > GROUP_DIGITS_MAX) {
        return digits < 0 ? false : value_error("a grouping has too many digits") != NULL;
    }
    grouping->digits = (int)digits;
    for (Py_ssize_t i = 0; i < digits; i++) {
        PyObject *digit = PySequence_GetItem(from, i);
        bool got = digit != NULL && digit_get(digit, columns, grouping, &used);
        Py_XDECREF(digit);
        if (!got) {
            return false;
        }
        grouping->ends[i] = used;
    }
    return true;
}

/* NULL with an error. */
static Grouping *groupings_get(PyObject *from, int columns, int *count) {
    Py_ssize_t size = PySequence_Size(from);
    if (size < 0 || size > GROUPINGS_MAX) {
        return size < 0 ? NULL : (Grouping *)value_error("there are too many groupings");
    }
    Grouping *groupings = malloc(((size_t)size + 1) * sizeof *groupings);
    if (groupings == NULL) {
        return (Grouping *)PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *grouping = PySequence_GetItem(from, i);
        bool got = grouping != NULL && grouping_get(grouping, columns, &groupings[i]);
        Py_XDECREF(grouping);
        if (!got) {
            free(groupings);
            return NULL;
        }
    }
    *count = (int)size;
    return groupings;
}

/* (digits, counts, sums) of one grouping. */
static PyObject *groups_new(State *state, const Groups *groups, int digits) {
    PyObject *all = PyTuple_New(digits);
    bool fine = all != NULL;
    for (int i = 0; fine && i < digits; i++) {
        PyObject *digit = array_new(state, CODE_Q, groups->digits[i], groups->count);
        fine = digit != NULL && PyTuple_SetItem(all, i, digit) == 0;
    }
    PyObject *counts = fine ? array_new(state, CODE_Q, groups->counts, groups->count) : NULL;
    PyObject *sums = counts == NULL ? NULL : array_new(state, CODE_Q, groups->sums, groups->count);
    PyObject *result = sums == NULL ? NULL : PyTuple_Pack(3, all, counts, sums);
    Py_XDECREF(all);
    Py_XDECREF(counts);
    Py_XDECREF(sums);
    return result;
}

static PyObject *group_borrowed(State *state, const Borrowed *borrowed, const Grouping *groupings, int count) {
    Groups *groups = calloc((size_t)count + 1, sizeof *groups);
    if (groups == NULL) {
        return PyErr_NoMemory();
    }
    Status status;
    const char *problem = NULL;
    const int64_t *weights = borrowed->weights.data;
    size_t events = borrowed->weights.count;
    UNLOCKED_IF(events * 8 > LOCKED_BYTES_MAX, status = group(borrowed->columns, borrowed->count, weights, events,
                                                             groupings, count, groups, &problem));
    PyObject *result = status == NO_MEMORY ? PyErr_NoMemory() : status == INVALID ? value_error(problem) : PyList_New(0);
    for (int i = 0; i < count; i++) {
        PyObject *one = result == NULL ? NULL : groups_new(state, &groups[i], groupings[i].digits);
        if (one == NULL || PyList_Append(result, one) < 0) {
            Py_CLEAR(result);
        }
        Py_XDECREF(one);
        groups_free(&groups[i]);
    }
    free(groups);
    return result;
}

PyObject *py_group(PyObject *module, PyObject *args) {
    PyObject *columns, *weights, *groupings_from, *result = NULL;
    Borrowed borrowed = {.count = 0, .weights = {.held = false}};
    if (!PyArg_ParseTuple(args, "OOO:group", &columns, &weights, &groupings_from)) {
        return NULL;
    }
    if (columns_borrow(columns, &borrowed) && column_get(weights, 'q', &borrowed.weights)) {
        int count = 0;
        Grouping *groupings = groupings_get(groupings_from, borrowed.count, &count);
        if (groupings != NULL) {
            result = group_borrowed(state_of(module), &borrowed, groupings, count);
        }
        free(groupings);
    }
    borrowed_release(&borrowed);
    return result;
}
