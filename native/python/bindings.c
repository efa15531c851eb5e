/* Columns and strings in from Python by the buffer protocol, and out as array.array and bytes. */
#include "bindings.h"

#include <stdlib.h>
#if defined(__GLIBC__)
#include <malloc.h>
#include <sys/mman.h>
#endif

const int code_width[4] = {8, 8, 4, 1};
const char code_letter[5] = "qQIB";

#if defined(__GLIBC__) && defined(MADV_HUGEPAGE)
/* Have the heap's memory come in large pages, where there are such: chunks of it are taken, said so of, and given back. */
static void take_large_pages(void) {
    enum { CHUNKS = 3, CHUNK = 31 << 20, PAGE = 4096 }; /* a chunk is less than what is mapped by itself */
    char *chunks[CHUNKS];
    for (int i = 0; i < CHUNKS; i++) {
        chunks[i] = malloc(CHUNK);
        if (chunks[i] != NULL) {
            char *start = chunks[i] + (PAGE - (uintptr_t)chunks[i] % PAGE);
            madvise(start, CHUNK - PAGE, MADV_HUGEPAGE);
        }
    }
    for (int i = 0; i < CHUNKS; i++) {
        free(chunks[i]);
    }
}
#endif

PyObject *py_keep_memory(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none)) {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the most it takes */
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    mallopt(M_ARENA_MAX, 1); /* what one thread has given back another takes */
#if defined(MADV_HUGEPAGE)
    take_large_pages();
#endif
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

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define OUR_BYTE_ORDER '>'
#else
#define OUR_BYTE_ORDER '<'
#endif

void column_release(Column *column) {
    if (column->held) {
        free(column->copy);
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
    format += *format == '@' || *format == '=' || *format == OUR_BYTE_ORDER; /* the other order is refused below */
    column->data = column->view.buf;
    column->copy = NULL;
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

/* A copy of what a buffer holds; NULL with an error. */
static void *copy_of(const Py_buffer *view) {
    void *copy = malloc((size_t)view->len + 8);
    if (copy == NULL) {
        PyErr_NoMemory();
    } else {
        memcpy(copy, view->buf, (size_t)view->len);
    }
    return copy;
}

bool column_own(Column *column) {
    if (column->view.readonly == 0 && column->copy == NULL) {
        column->data = column->copy = copy_of(&column->view);
    }
    return column->data != NULL;
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

PyObject *tuple_take(PyObject **parts, Py_ssize_t size) {
    PyObject *result = PyTuple_New(size);
    for (Py_ssize_t i = 0; i < size; i++) {
        if (parts[i] == NULL || result == NULL) {
            Py_XDECREF(parts[i]);
            Py_CLEAR(result);
        } else {
            PyTuple_SetItem(result, i, parts[i]);
        }
    }
    return result;
}

PyObject *wide_new(uint64_t low, uint64_t high) {
    PyObject *lower = PyLong_FromUnsignedLongLong(low);
    if (lower == NULL || high == 0) {
        return lower;
    }
    PyObject *upper = PyLong_FromUnsignedLongLong(high), *bits = PyLong_FromLong(64);
    PyObject *moved = upper == NULL || bits == NULL ? NULL : PyNumber_Lshift(upper, bits);
    PyObject *wide = moved == NULL ? NULL : PyNumber_Or(moved, lower);
    Py_XDECREF(upper);
    Py_XDECREF(bits);
    Py_XDECREF(moved);
    Py_DECREF(lower);
    return wide;
}

PyObject *value_error(const char *problem) {
    PyErr_SetString(PyExc_ValueError, problem);
    return NULL;
}

void strings_release(Strings *strings) {
    column_release(&strings->ends);
    if (strings->held) {
        free(strings->copy);
        PyBuffer_Release(&strings->heap);
        strings->held = false;
    }
}

/* Whether the ends are those of strings; else an error, and nothing is held. */
static bool strings_checked(Strings *strings) {
    if (strings_valid(strings->ends.data, strings->ends.count, (size_t)strings->heap.len)) {
        return true;
    }
    value_error("the ends of the strings do not rise to the end of their bytes");
    strings_release(strings);
    return false;
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
    strings->text = strings->heap.buf;
    strings->copy = NULL;
    return strings_checked(strings);
}

bool strings_own(Strings *strings) {
    bool owned = column_own(&strings->ends);
    if (owned && strings->heap.readonly == 0) {
        strings->text = strings->copy = copy_of(&strings->heap);
        owned = strings->text != NULL;
    }
    if (!owned) {
        strings_release(strings);
        return false;
    }
    return strings_checked(strings);
}
