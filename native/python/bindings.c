/* Columns and strings in from Python by the buffer protocol, and out as array.array and bytes. */
#include "bindings.h"

#include <stdlib.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

const int code_width[4] = {8, 8, 4, 1};
const char code_letter[5] = "qQIB";

PyObject *py_keep_memory(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none)) {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the most it takes */
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
    return Py_NewRef(Py_None);
}

State *state_of(PyObject *module) { return PyModule_GetState(module); }

PyObject *owned_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *nothing[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", nothing)) {
        return NULL;
    }
    PyObject *module = PyType_GetModule(type);
    allocfunc alloc = module == NULL ? NULL : (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Owned *self = alloc == NULL ? NULL : (Owned *)alloc(type, 0);
    if (self != NULL) {
        self->state = PyModule_GetState(module);
        self->module = Py_NewRef(module);
    }
    return (PyObject *)self;
}

void owned_free(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    Py_XDECREF(((Owned *)object)->module);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

void column_release(Column *column) {
    if (column->held) {
        PyBuffer_Release(&column->view);
        column->held = false;
    }
}

bool column_get(PyObject *from, char code, Column *column) {
    if (PyObject_GetBuffer(from, &column->view, PyBUF_ND | PyBUF_FORMAT) < 0) {
        return false;
    }
    column->held = true;
    const char *format = column->view.format == NULL ? "B" : column->view.format;
    format += *format == '@' || *format == '=' || *format == '<';
    column->width = (int)column->view.itemsize;
    column->is_signed = strchr("bhilqn", *format) != NULL;
    column->count = column->view.itemsize > 0 ? (size_t)column->view.len / (size_t)column->view.itemsize : 0;
    bool integers = strchr("bBhHiIlLqQnN", *format) != NULL && *format != 0 && format[1] == 0;
    bool width_ok = column->width == 1 || column->width == 2 || column->width == 4 || column->width == 8;
    bool wanted = true;
    for (int i = 0; code != 0 && i < 4; i++) {
        if (code_letter[i] == code) {
            wanted = column->width == code_width[i] && column->is_signed == (code == 'q');
        }
    }
    if (!integers || !width_ok || !wanted || (column->is_signed && column->width != 8)) {
        PyErr_Format(PyExc_TypeError, "a column of format %s is not what is wanted here", format);
        column_release(column);
        return false;
    }
    return true;
}

PyObject *array_new(State *state, int code, const void *data, size_t count) {
    static const char nothing[8];
    Py_ssize_t size = (Py_ssize_t)(count * (size_t)code_width[code]);
    if (data == NULL) {
        data = nothing;
    }
    if (size <= 4096) { /* one call and a short copy more */
        PyObject *bytes = PyBytes_FromStringAndSize(data, size);
        PyObject *small =
            bytes == NULL ? NULL : PyObject_CallFunctionObjArgs(state->array, state->codes[code], bytes, NULL);
        Py_XDECREF(bytes);
        return small;
    }
    PyObject *array = PyObject_CallFunctionObjArgs(state->array, state->codes[code], NULL);
    PyObject *view = array == NULL ? NULL : PyMemoryView_FromMemory((char *)(uintptr_t)data, size, PyBUF_READ);
    PyObject *done = view == NULL ? NULL : PyObject_CallMethodObjArgs(array, state->frombytes, view, NULL);
    Py_XDECREF(view);
    if (done == NULL) {
        Py_XDECREF(array);
        return NULL;
    }
    Py_DECREF(done);
    return array;
}

PyObject *array_take(State *state, int code, void *data, size_t count) {
    PyObject *array = data == NULL ? PyErr_NoMemory() : array_new(state, code, data, count);
    free(data);
    return array;
}

PyObject *pair(PyObject *one, PyObject *other) {
    PyObject *both = one == NULL || other == NULL ? NULL : PyTuple_Pack(2, one, other);
    Py_XDECREF(one);
    Py_XDECREF(other);
    return both;
}

PyObject *value_error(const char *problem) {
    PyErr_SetString(PyExc_ValueError, problem);
    return NULL;
}

void strings_release(Strings *strings) {
    column_release(&strings->ends);
    if (strings->held) {
        PyBuffer_Release(&strings->heap);
        strings->held = false;
    }
}

bool strings_get(PyObject *ends, PyObject *heap, Strings *strings) {
    strings->held = strings->ends.held = false;
    if (!column_get(ends, 'I', &strings->ends)) {
        return false;
    }
    strings->held = PyObject_GetBuffer(heap, &strings->heap, PyBUF_SIMPLE) == 0;
    if (!strings->held) {
        strings_release(strings);
        return false;
    }
    if (!strings_valid(strings->ends.view.buf, strings->ends.count, (size_t)strings->heap.len)) {
        value_error("the ends of the strings do not rise to the end of their bytes");
        strings_release(strings);
        return false;
    }
    return true;
}
