/* The numbers of distinct strings as an object. */
#include "py_dictionary.h"

#include <stdlib.h>

static PyObject *dictionary_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    DictionaryObject *self = (DictionaryObject *)owned_new(type, args, kwargs);
    if (self != NULL) {
        dictionary_init(&self->dictionary, self->owned.state->seed);
    }
    return (PyObject *)self;
}

static void dictionary_dealloc(PyObject *object) {
    dictionary_free(&((DictionaryObject *)object)->dictionary);
    owned_free(object);
}

static Py_ssize_t dictionary_length(PyObject *object) { return ((DictionaryObject *)object)->dictionary.count; }

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
        dictionary_find_all(&self->dictionary, strings.ends.data, count, strings.text, numbers);
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
    Status status =
        dictionary_add_all(&self->dictionary, strings.ends.data, strings.ends.count, strings.text);
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

static PyObject *dictionary_column(PyObject *object, PyObject *args) {
    DictionaryObject *self = (DictionaryObject *)object;
    Py_ssize_t start, stop;
    if (!PyArg_ParseTuple(args, "nn:column", &start, &stop)) {
        return NULL;
    }
    if (start < 0 || stop < start || stop > (Py_ssize_t)self->dictionary.count) {
        return value_error("there are no strings of these numbers");
    }
    size_t count = (size_t)(stop - start);
    uint32_t *ends = malloc(count * sizeof *ends + 8);
    if (ends == NULL) {
        return PyErr_NoMemory();
    }
    const NameHeap *texts = self->dictionary.texts;
    uint32_t first = texts == NULL ? 0 : texts->ends[start], last = texts == NULL ? 0 : texts->ends[stop];
    for (size_t i = 0; i < count; i++) {
        ends[i] = texts->ends[(size_t)start + i + 1] - first;
    }
    PyObject *heap = PyBytes_FromStringAndSize(texts == NULL ? "" : texts->heap + first, (Py_ssize_t)(last - first));
    return pair(array_take(self->owned.state, CODE_I, ends, count), heap);
}

/* The names that a selection holds, with its counts beside them unless they alone are wanted. */
PyObject *selected(Selection *selection, bool with_counts) {
    selection_sort(selection);
    PyObject *list = PyList_New((Py_ssize_t)selection->used);
    char *text = NULL;
    size_t room = 0;
    for (size_t i = 0; list != NULL && i < selection->used; i++) {
        const Entry *entry = &selection->entries[i];
        size_t size = selection_text(selection, entry, NULL);
        if (size > room || text == NULL) {
            free(text);
            room = 2 * size + 64;
            text = malloc(room);
        }
        PyObject *item = NULL;
        if (text == NULL) {
            PyErr_NoMemory();
        } else {
            selection_text(selection, entry, text);
            item = with_counts
                       ? Py_BuildValue("(s#KN)", text, (Py_ssize_t)size, (unsigned long long)entry->count,
                                       wide_new(entry->low, entry->high))
                       : PyUnicode_DecodeUTF8(text + 1, (Py_ssize_t)size - 1, "strict"); /* after its label */
        }
        if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item) < 0) {
            Py_CLEAR(list);
        }
    }
    free(text);
    return list;
}

static PyObject *dictionary_search(PyObject *object, PyObject *args) {
    DictionaryObject *self = (DictionaryObject *)object;
    Py_buffer wanted;
    Py_ssize_t known, limit;
    if (!PyArg_ParseTuple(args, "y*nn:search", &wanted, &known, &limit)) {
        return NULL;
    }
    PyObject *result = NULL;
    if (known < 0 || known > (Py_ssize_t)self->dictionary.count || limit < 1 || limit > SELECTED_MAX) {
        value_error("there are not so many strings, or the limit is out of range");
    } else {
        Selection selection = {.by_merchant = true, .known = (uint32_t)known, .limit = (size_t)limit};
        selection.entries = malloc((size_t)limit * sizeof *selection.entries);
        uint32_t *others = malloc((size_t)known * sizeof *others + 8);
        NameHeap *texts = self->dictionary.texts;
        size_t count = 0;
        Status status = NO_MEMORY;
        if (selection.entries != NULL && others != NULL) {
            name_heap_hold(texts);
            selection.texts = texts;
            UNLOCKED_IF(known > 1024, status = selection_search(&selection, wanted.buf, (size_t)wanted.len, others, &count));
        }
        PyObject *names = status == DONE ? selected(&selection, false) : PyErr_NoMemory();
        if (selection.texts != NULL) {
            name_heap_release(texts);
        }
        selection_free(&selection);
        result = names == NULL ? (free(others), NULL) : pair(names, array_take(self->owned.state, CODE_I, others, count));
    }
    PyBuffer_Release(&wanted);
    return result;
}

static PyMethodDef dictionary_methods[] = {
    {"add", dictionary_add, METH_VARARGS, NULL},
    {"column", dictionary_column, METH_VARARGS, NULL},
    {"find", dictionary_find, METH_VARARGS, NULL},
    {"search", dictionary_search, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot dictionary_slots[] = {
    {Py_tp_doc, "The numbers of distinct strings; see tillroll.core.columns."},
    {Py_tp_new, dictionary_new},
    {Py_tp_dealloc, dictionary_dealloc},
    {Py_tp_methods, dictionary_methods},
    {Py_sq_length, dictionary_length},
    {0, NULL},
};

PyType_Spec dictionary_spec = {
    .name = "tillroll._kernel.Dictionary",
    .basicsize = sizeof(DictionaryObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = dictionary_slots,
};
