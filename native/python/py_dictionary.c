/* The numbers of distinct strings as an object. */
#include "bindings.h"

#include <stdlib.h>

typedef struct {
    Owned owned;
    Names names;
} DictionaryObject;

static PyObject *dictionary_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    DictionaryObject *self = (DictionaryObject *)owned_new(type, args, kwargs);
    if (self != NULL) {
        names_init(&self->names, self->owned.state->seed);
    }
    return (PyObject *)self;
}

static void dictionary_dealloc(PyObject *object) {
    names_free(&((DictionaryObject *)object)->names);
    owned_free(object);
}

static PyObject *dictionary_find(PyObject *object, PyObject *args) {
    DictionaryObject *self = (DictionaryObject *)object;
    PyObject *ends, *heap;
    Strings strings;
    if (!PyArg_ParseTuple(args, "OO:find", &ends, &heap) || !strings_get(ends, heap, &strings)) {
        return NULL;
    }
    size_t count = strings.ends.count;
    uint32_t *numbers = malloc(count * sizeof *numbers + 8);
    if (numbers != NULL) {
        names_find_all(&self->names, strings.ends.view.buf, count, strings.heap.buf, numbers);
    }
    strings_release(&strings);
    return array_take(self->owned.state, CODE_I, numbers, count);
}

static PyObject *dictionary_add(PyObject *object, PyObject *args) {
    DictionaryObject *self = (DictionaryObject *)object;
    PyObject *ends, *heap;
    Strings strings;
    if (!PyArg_ParseTuple(args, "OO:add", &ends, &heap) || !strings_get(ends, heap, &strings)) {
        return NULL;
    }
    Status status = names_add_all(&self->names, strings.ends.view.buf, strings.ends.count, strings.heap.buf);
    strings_release(&strings);
    switch (status) {
    case DONE:
        return Py_NewRef(Py_None);
    case INVALID:
        return value_error("a string has a number already");
    default:
        return PyErr_NoMemory();
    }
}

static PyMethodDef dictionary_methods[] = {
    {"add", dictionary_add, METH_VARARGS, NULL},
    {"find", dictionary_find, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot dictionary_slots[] = {
    {Py_tp_doc, "The numbers of distinct strings; see tillroll.core.columns."},
    {Py_tp_new, dictionary_new},
    {Py_tp_dealloc, dictionary_dealloc},
    {Py_tp_methods, dictionary_methods},
    {0, NULL},
};

PyType_Spec dictionary_spec = {
    .name = "tillroll._kernel.Dictionary",
    .basicsize = sizeof(DictionaryObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = dictionary_slots,
};
