/* Columns of strings. */
#include "bindings.h"

#include <stdlib.h>

PyObject *py_pack_strings(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *ends, *heap, *result = NULL;
    Strings strings;
    if (!PyArg_ParseTuple(args, "OO:pack_strings", &ends, &heap) || !strings_get(ends, heap, &strings)) {
        return NULL;
    }
    if (strings.heap.len > LOCKED_BYTES_MAX && !strings_own(&strings)) {
        return NULL;
    }
    const uint32_t *at = strings.ends.data;
    size_t size, count = strings.ends.count;
    UNLOCKED_IF(strings.heap.len > LOCKED_BYTES_MAX, size = packed_size(at, count, strings.text));
    if (size == SIZE_MAX) {
        value_error("a string is longer than 65534 bytes");
    } else if ((result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size)) != NULL) {
        unsigned char *out = (unsigned char *)PyBytes_AsString(result);
        UNLOCKED_IF(strings.heap.len > LOCKED_BYTES_MAX, pack_strings(at, count, strings.text, out));
    }
    strings_release(&strings);
    return result;
}

static PyObject *unpack_data(State *state, const Py_buffer *data, size_t count) {
    size_t read, heap_size;
    if (!unpacked_size(data->buf, (size_t)data->len, count, &read, &heap_size)) {
        return PyErr_Format(PyExc_ValueError, "%zu strings do not fit %zd bytes", count, data->len);
    }
    PyObject *heap = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)heap_size);
    uint32_t *ends = malloc(count * sizeof *ends + 8);
    if (heap == NULL || ends == NULL) {
        Py_XDECREF(heap);
        free(ends);
        return PyErr_NoMemory();
    }
    char *out = PyBytes_AsString(heap);
    bool heavy = read > LOCKED_BYTES_MAX && data->readonly; /* what may be written to meanwhile is read under the lock */
    UNLOCKED_IF(heavy, unpack_strings(data->buf, count, ends, out));
    PyObject *array = array_take(state, CODE_I, ends, count), *size = PyLong_FromSize_t(read);
    PyObject *result = array == NULL || size == NULL ? NULL : PyTuple_Pack(3, array, heap, size);
    Py_XDECREF(array);
    Py_XDECREF(size);
    Py_DECREF(heap);
    return result;
}

PyObject *py_unpack_strings(PyObject *module, PyObject *args) {
    Py_buffer data;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "y*n:unpack_strings", &data, &count)) {
        return NULL;
    }
    PyObject *result = count < 0 ? value_error("a column has a negative count")
                                 : unpack_data(state_of(module), &data, (size_t)count);
    PyBuffer_Release(&data);
    return result;
}

static PyObject *pick_strings(State *state, const Strings *strings, const Column *indexes) {
    const uint32_t *ends = strings->ends.data, *wanted = indexes->data;
    size_t count = indexes->count, size = 0;
    if (count != 0 && largest_unsigned(wanted, 4, count) >= strings->ends.count) {
        return value_error("an index is out of range");
    }
    for (size_t i = 0; i < count; i++) {
        size += ends[wanted[i]] - (wanted[i] == 0 ? 0 : ends[wanted[i] - 1]);
    }
    if (size > UINT32_MAX) {
        return value_error("the strings are longer than 4 GiB");
    }
    PyObject *heap = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    uint32_t *picked = malloc(count * sizeof *picked + 8), end = 0;
    if (heap == NULL || picked == NULL) {
        Py_XDECREF(heap);
        free(picked);
        return PyErr_NoMemory();
    }
    char *out = PyBytes_AsString(heap);
    for (size_t i = 0; i < count; i++) {
        uint32_t start = wanted[i] == 0 ? 0 : ends[wanted[i] - 1], length = ends[wanted[i]] - start;
        memcpy(out + end, (const char *)strings->text + start, length);
        picked[i] = end += length;
    }
    return pair(array_take(state, CODE_I, picked, count), heap);
}

PyObject *py_pick_strings(PyObject *module, PyObject *args) {
    PyObject *ends, *heap, *wanted, *result = NULL;
    Strings strings;
    Column indexes;
    if (!PyArg_ParseTuple(args, "OOO:pick_strings", &ends, &heap, &wanted) || !strings_get(ends, heap, &strings)) {
        return NULL;
    }
    if (column_get(wanted, 'I', &indexes)) {
        result = pick_strings(state_of(module), &strings, &indexes);
        column_release(&indexes);
    }
    strings_release(&strings);
    return result;
}

PyObject *py_join_strings(PyObject *module, PyObject *texts) {
    Py_ssize_t count = PySequence_Size(texts);
    if (count < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    size_t used = 0, size = (size_t)count * 40 + 64;
    uint32_t *ends = malloc((size_t)count * sizeof *ends + 8);
    char *heap = malloc(size);
    bool memory = ends != NULL && heap != NULL;
    Py_ssize_t i = 0;
    for (; memory && i < count; i++) {
        PyObject *text = PySequence_GetItem(texts, i);
        Py_ssize_t length;
        const char *utf8 = text == NULL ? NULL : PyUnicode_AsUTF8AndSize(text, &length);
        if (utf8 == NULL) {
            Py_XDECREF(text);
            break;
        }
        if (used + (size_t)length > size) {
            size = size * 2 + (size_t)length;
            char *grown = realloc(heap, size);
            memory = grown != NULL;
            heap = grown == NULL ? heap : grown;
        }
        if (memory) {
            memcpy(heap + used, utf8, (size_t)length);
            used += (size_t)length;
            ends[i] = (uint32_t)used;
        }
        Py_DECREF(text);
    }
    if (!memory) {
        PyErr_NoMemory();
    } else if (i == count && used > UINT32_MAX) {
        value_error("the strings are longer than 4 GiB");
    } else if (i == count) {
        result = pair(array_new(state_of(module), CODE_I, ends, (size_t)count),
                      PyBytes_FromStringAndSize(heap, (Py_ssize_t)used));
    }
    free(ends);
    free(heap);
    return result;
}

PyObject *py_split_strings(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *ends, *heap;
    Strings strings;
    if (!PyArg_ParseTuple(args, "OO:split_strings", &ends, &heap) || !strings_get(ends, heap, &strings)) {
        return NULL;
    }
    const uint32_t *at = strings.ends.data;
    const char *bytes = strings.text;
    PyObject *texts = PyList_New((Py_ssize_t)strings.ends.count);
    for (size_t i = 0; texts != NULL && i < strings.ends.count; i++) {
        uint32_t start = i == 0 ? 0 : at[i - 1];
        PyObject *text = PyUnicode_FromStringAndSize(bytes + start, (Py_ssize_t)(at[i] - start));
        if (text == NULL || PyList_SetItem(texts, (Py_ssize_t)i, text) < 0) {
            Py_DECREF(texts);
            texts = NULL;
        }
    }
    strings_release(&strings);
    return texts;
}
