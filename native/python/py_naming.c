/* Names that an export gave, out of lines and to sources. */
#include "bindings.h"

#include <stdlib.h>

PyObject *py_may_have_names(PyObject *Py_UNUSED(module), PyObject *from) {
    Py_buffer text;
    if (PyObject_GetBuffer(from, &text, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    bool may;
    UNLOCKED_IF(text.len > LOCKED_BYTES_MAX && text.readonly, may = may_have_names(text.buf, (size_t)text.len));
    PyBuffer_Release(&text);
    return PyBool_FromLong(may);
}

PyObject *py_names_in_lines(PyObject *module, PyObject *args) {
    Py_buffer text;
    unsigned long long first;
    PyObject *from, *result = NULL;
    Column positions;
    if (!PyArg_ParseTuple(args, "y*KO:names_in_lines", &text, &first, &from)) {
        return NULL;
    }
    State *state = state_of(module);
    bool heavy = text.len > LOCKED_BYTES_MAX && text.readonly;
    if (!column_get(from, 'Q', &positions) || !column_own(&positions)) {
        PyBuffer_Release(&text);
        return NULL;
    }
    size_t count = positions.count, doubts = 0;
    uint32_t *ends = malloc(count * sizeof *ends + 8), *doubtful = malloc(count * sizeof *doubtful + 8);
    char *heap = malloc((size_t)text.len + 8);
    Status status = INVALID;
    if (ends == NULL || doubtful == NULL || heap == NULL) {
        PyErr_NoMemory();
    } else if ((size_t)text.len > UINT32_MAX) {
        value_error("the text is longer than 4 GiB");
    } else {
        UNLOCKED_IF(heavy, status = names_in_lines(text.buf, (size_t)text.len, first, positions.data, count, ends, heap,
                                                   doubtful, &doubts));
        if (status == DONE) {
            PyObject *parts[] = {array_new(state, CODE_I, ends, count),
                                 PyBytes_FromStringAndSize(heap, count == 0 ? 0 : (Py_ssize_t)ends[count - 1]),
                                 array_new(state, CODE_I, doubtful, doubts)};
            result = tuple_take(parts, 3);
        } else {
            value_error("there are no lines at these positions");
        }
    }
    free(ends);
    free(doubtful);
    free(heap);
    column_release(&positions);
    PyBuffer_Release(&text);
    return result;
}

static PyObject *sources_made(State *state, const NamedRuns *runs, const uint64_t *positions, size_t count) {
    size_t used = runs->count == 0 ? 0 : runs->ends[runs->count - 1];
    PyObject *parts[] = {
        array_new(state, CODE_Q, runs->events, runs->count),
        PyBytes_FromStringAndSize((const char *)runs->kinds, (Py_ssize_t)runs->count),
        array_new(state, CODE_I, runs->ends, runs->count),
        PyBytes_FromStringAndSize(runs->values, (Py_ssize_t)used),
        array_new(state, CODE_Q, positions, count),
        array_new(state, CODE_I, runs->invalid, runs->invalid_count),
    };
    return tuple_take(parts, 6);
}

static PyObject *sources_of(State *state, const Strings *names, const Strings *ids) {
    size_t count = names->ends.count;
    if (ids->ends.count != 0 && ids->ends.count != count) {
        return value_error("columns differ in length");
    }
    NamedRuns runs = {malloc(count * 8 + 8), malloc(count + 8), malloc(count * 4 + 8), malloc(count * 4 + 8),
                      malloc((size_t)names->heap.len + 8), 0, 0};
    uint64_t *positions = malloc(count * sizeof *positions + 8);
    bool memory = runs.events != NULL && runs.kinds != NULL && runs.ends != NULL && runs.invalid != NULL &&
                  runs.values != NULL && positions != NULL;
    PyObject *result = NULL;
    if (memory) {
        UNLOCKED_IF(count > 1000, sources_of_names(names->ends.data, count, names->text,
                                                   ids->ends.count == 0 ? NULL : ids->ends.data, ids->text, &runs, positions));
        result = sources_made(state, &runs, positions, count);
    } else {
        PyErr_NoMemory();
    }
    free(runs.events);
    free(runs.kinds);
    free(runs.ends);
    free(runs.invalid);
    free(runs.values);
    free(positions);
    return result;
}

PyObject *py_sources_of_names(PyObject *module, PyObject *args) {
    PyObject *ends, *heap, *id_ends, *id_bytes, *result = NULL;
    Strings names, ids = {.held = false};
    if (!PyArg_ParseTuple(args, "OOOO:sources_of_names", &ends, &heap, &id_ends, &id_bytes) ||
        !strings_get(ends, heap, &names)) {
        return NULL;
    }
    if (strings_own(&names)) {
        if (strings_get(id_ends, id_bytes, &ids) && strings_own(&ids)) {
            result = sources_of(state_of(module), &names, &ids);
            strings_release(&ids);
        }
        strings_release(&names);
    }
    return result;
}
