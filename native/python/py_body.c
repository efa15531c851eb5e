/* A body parted. */
#include "bindings.h"

#include <stdlib.h>

static PyObject *parted(State *state, Places *places, size_t read, const PartState *after) {
    PyObject *parts[] = {
        array_new(state, CODE_Q, places->starts, places->count),
        array_new(state, CODE_Q, places->ends, places->count),
        array_new(state, CODE_Q, places->positions, places->count),
        PyLong_FromSize_t(read),
        Py_BuildValue("(iOKKKK)", after->mode, after->fresh ? Py_True : Py_False, (unsigned long long)after->position,
                      (unsigned long long)after->line, (unsigned long long)after->byte,
                      (unsigned long long)after->spent),
    };
    return tuple_take(parts, sizeof parts / sizeof *parts);
}

PyObject *py_may_have_more(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *body;
    Py_ssize_t size, most;
    if (!PyArg_ParseTuple(args, "y#n:may_have_more", &body, &size, &most)) {
        return NULL;
    }
    return PyBool_FromLong(may_have_more(body, (size_t)size, most < 0 ? 0 : (size_t)most));
}

PyObject *py_part(PyObject *module, PyObject *args) {
    Py_buffer text;
    int mode, fresh, final;
    unsigned long long position, line, byte, spent;
    Py_ssize_t most;
    if (!PyArg_ParseTuple(args, "y*(ipKKKK)pn:part", &text, &mode, &fresh, &position, &line, &byte, &spent, &final,
                          &most)) {
        return NULL;
    }
    PyObject *result = NULL;
    if (!text.readonly) { /* what may change while it is read cannot be read safely */
        PyErr_SetString(PyExc_TypeError, "a text to part is bytes, or a view that nobody can write to");
    } else if (mode < 0 || mode >= MODES || most < 0) {
        value_error("there is no such state of a parting");
    } else {
        PartState state = {mode, fresh, position, line, byte, spent};
        Places places = {0};
        Status status;
        size_t read = 0;
        UNLOCKED_IF(text.len > LOCKED_BYTES_MAX,
                    status = part(text.buf, (size_t)text.len, final, (size_t)most, &state, &places, &read));
        result = status == DONE ? parted(state_of(module), &places, read, &state) : PyErr_NoMemory();
        places_free(&places);
    }
    PyBuffer_Release(&text);
    return result;
}
