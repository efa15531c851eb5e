/* tillroll._kernel: the kernel in native/ as a Python module, for the stable ABI of Python 3.11 and newer.
 *
 * Each function is a twin of the one in tillroll.core.columns, where it is described. Columns come in by the buffer
 * protocol and go out as array.array; heavy loops run without Python's lock.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../../native/kernel.h"

#include <stdlib.h>

#define LOCKED_BYTES_MAX (64 << 10) /* shorter work is not worth giving the lock away */

typedef struct {
    PyObject *array;         /* the type array.array */
    PyObject *codes[4];      /* "q", "Q", "I", "B" */
    PyObject *frombytes;     /* the method's name */
    PyObject *parser_type;
    uint64_t seed;
} State;

enum { CODE_q, CODE_Q, CODE_I, CODE_B };
static const int code_width[] = {8, 8, 4, 1};
static const char code_letter[] = "qQIB";

static State *state_of(PyObject *module) { return PyModule_GetState(module); }

#define UNLOCKED_IF(heavy, work)                                        \
    do {                                                                \
        PyThreadState *saved = (heavy) ? PyEval_SaveThread() : NULL;    \
        work;                                                           \
        if (saved != NULL) {                                            \
            PyEval_RestoreThread(saved);                                \
        }                                                               \
    } while (0)

/* A column as it came in. */
typedef struct {
    Py_buffer view;
    size_t count;
    int width;
    bool is_signed, held;
} Column;

static void column_release(Column *column) {
    if (column->held) {
        PyBuffer_Release(&column->view);
        column->held = false;
    }
}

/* Borrow a column; `code` asks for one of our codes, 0 takes any integers. */
static bool column_get(PyObject *from, char code, Column *column) {
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

static PyObject *array_new(State *state, int code, const void *data, size_t count) {
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

/* The same, giving the data back to the heap. */
static PyObject *array_take(State *state, int code, void *data, size_t count) {
    PyObject *array = data == NULL ? PyErr_NoMemory() : array_new(state, code, data, count);
    free(data);
    return array;
}

static PyObject *pair(PyObject *one, PyObject *other) { /* steals both */
    PyObject *both = one == NULL || other == NULL ? NULL : PyTuple_Pack(2, one, other);
    Py_XDECREF(one);
    Py_XDECREF(other);
    return both;
}

static PyObject *value_error(const char *problem) {
    PyErr_SetString(PyExc_ValueError, problem);
    return NULL;
}

static bool bounds_of(const Column *column, uint64_t *least, uint64_t *largest) {
    if (column->is_signed) {
        bounds_signed(column->view.buf, column->count, (int64_t *)least, (int64_t *)largest);
    } else {
        *least = 0;
        *largest = largest_unsigned(column->view.buf, column->width, column->count);
    }
    return true;
}

static PyObject *py_bounds(PyObject *Py_UNUSED(module), PyObject *values) {
    Column column;
    int64_t least, largest;
    if (!column_get(values, 'q', &column)) {
        return NULL;
    }
    size_t count = column.count;
    UNLOCKED_IF(column.view.len > LOCKED_BYTES_MAX, bounds_signed(column.view.buf, count, &least, &largest));
    column_release(&column);
    return count == 0 ? value_error("an empty column has no bounds")
                      : pair(PyLong_FromLongLong(least), PyLong_FromLongLong(largest));
}

static PyObject *py_largest(PyObject *Py_UNUSED(module), PyObject *values) {
    Column column;
    uint64_t least, largest;
    if (!column_get(values, 0, &column)) {
        return NULL;
    }
    size_t count = column.count;
    bool is_signed = column.is_signed;
    UNLOCKED_IF(column.view.len > LOCKED_BYTES_MAX, bounds_of(&column, &least, &largest));
    column_release(&column);
    if (count == 0) {
        return value_error("an empty column has no largest value");
    }
    return is_signed ? PyLong_FromLongLong((int64_t)largest) : PyLong_FromUnsignedLongLong(largest);
}

static PyObject *narrow_column(const Column *column, int64_t base) {
    uint64_t least = 0, largest = 0;
    if (column->count != 0) {
        UNLOCKED_IF(column->view.len > LOCKED_BYTES_MAX, bounds_of(column, &least, &largest));
        if (column->is_signed ? (int64_t)least < base : base < 0) {
            return value_error("a value is below the base");
        }
        if (!column->is_signed && largest < (uint64_t)base) {
            return value_error("a value is below the base");
        }
        largest -= (uint64_t)base;
    }
    int width = width_for(largest);
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(column->count * (size_t)width));
    if (bytes == NULL) {
        return NULL;
    }
    unsigned char *out = (unsigned char *)PyBytes_AsString(bytes);
    if (width != 0 && column->is_signed) {
        UNLOCKED_IF(column->view.len > LOCKED_BYTES_MAX,
                    narrow_signed(column->view.buf, column->count, base, width, out));
    } else if (width != 0) {
        UNLOCKED_IF(column->view.len > LOCKED_BYTES_MAX,
                    narrow_unsigned(column->view.buf, column->width, column->count, (uint64_t)base, width, out));
    }
    return pair(PyLong_FromLong(width), bytes);
}

static PyObject *py_narrow(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *values;
    long long base;
    Column column;
    if (!PyArg_ParseTuple(args, "OL:narrow", &values, &base) || !column_get(values, 0, &column)) {
        return NULL;
    }
    PyObject *result = narrow_column(&column, base);
    column_release(&column);
    return result;
}

/* Whether value + base is one of a code's values. */
static bool fits(uint64_t value, int64_t base, char code) {
    uint64_t most = code == 'q' ? INT64_MAX : code == 'Q' ? UINT64_MAX : code == 'I' ? UINT32_MAX : UINT8_MAX;
    if (base >= 0) {
        return (uint64_t)base <= most && value <= most - (uint64_t)base;
    }
    uint64_t below = 0 - (uint64_t)base; /* the base without its sign */
    if (value >= below) {
        return value - below <= most;
    }
    return code == 'q' && below - value <= (uint64_t)INT64_MAX + 1;
}

static bool least_and_largest(const unsigned char *data, int width, size_t count, uint64_t *least, uint64_t *largest) {
    *least = UINT64_MAX;
    *largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t value = stored_at(data, width, i);
        *least = value < *least ? value : *least;
        *largest = value > *largest ? value : *largest;
    }
    return true;
}

/* Whether all values of a width are sure to fit without looking at them. */
static bool width_fits(int width, int64_t base, char code) {
    uint64_t most = width == 0 ? 0 : width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;
    return fits(0, base, code) && fits(most, base, code);
}

static PyObject *widen_data(State *state, const Py_buffer *data, int width, int64_t base, size_t count, char code) {
    const char *place = memchr(code_letter, code, 4);
    if (place == NULL) {
        return value_error("a column's code is q, Q, I or B");
    }
    if (width == 0 ? data->len != 0
                   : (width != 1 && width != 2 && width != 4 && width != 8) || (size_t)data->len / (size_t)width != count ||
                         (size_t)data->len % (size_t)width != 0) {
        return PyErr_Format(PyExc_ValueError, "a column of width %d has %zd bytes for %zu values", width, data->len, count);
    }
    if (!width_fits(width, base, code) && count != 0) {
        uint64_t least = 0, largest = 0;
        if (width != 0) {
            UNLOCKED_IF(data->len > LOCKED_BYTES_MAX, least_and_largest(data->buf, width, count, &least, &largest));
        }
        if (!fits(least, base, code) || !fits(largest, base, code)) {
            return value_error("a value does not fit the column");
        }
    }
    int to = code_width[place - code_letter];
    if (count > PY_SSIZE_T_MAX / 8) {
        return PyErr_NoMemory();
    }
    void *out = malloc(count * (size_t)to + 8);
    if (out != NULL) {
        UNLOCKED_IF(count > LOCKED_BYTES_MAX, widen(data->buf, width, count, (uint64_t)base, to, out));
    }
    return array_take(state, (int)(place - code_letter), out, count);
}

static PyObject *py_widen(PyObject *module, PyObject *args) {
    Py_buffer data;
    int width, code;
    long long base;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "y*iLnC:widen", &data, &width, &base, &count, &code)) {
        return NULL;
    }
    PyObject *result = count < 0 ? value_error("a column has a negative count")
                                 : widen_data(state_of(module), &data, width, base, (size_t)count, (char)code);
    PyBuffer_Release(&data);
    return result;
}

static PyObject *pick_column(State *state, const Column *column, const Column *indexes) {
    int code = column->is_signed ? CODE_q : column->width == 8 ? CODE_Q : column->width == 4 ? CODE_I : CODE_B;
    if (column->width == 2) {
        return value_error("a column to pick from is of code q, Q, I or B");
    }
    if (indexes->count != 0 && largest_unsigned(indexes->view.buf, 4, indexes->count) >= column->count) {
        return value_error("an index is out of range");
    }
    void *out = malloc(indexes->count * (size_t)column->width + 8);
    if (out != NULL) {
        UNLOCKED_IF(indexes->view.len > LOCKED_BYTES_MAX,
                    pick(column->view.buf, column->width, indexes->view.buf, indexes->count, out));
    }
    return array_take(state, code, out, indexes->count);
}

static PyObject *py_pick(PyObject *module, PyObject *args) {
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

static PyObject *py_indexes_of(PyObject *module, PyObject *mask) {
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
static PyObject *py_interleave(PyObject *module, PyObject *args) {
    PyObject *places;
    Py_ssize_t count;
    Column before;
    if (!PyArg_ParseTuple(args, "nO:interleave", &count, &places) || !column_get(places, 'Q', &before)) {
        return NULL;
    }
    const uint64_t *at = before.view.buf;
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
    if (count != 0 && largest_unsigned(indexes->view.buf, 4, count) >= size) {
        return value_error("an index is out of range");
    }
    const uint32_t *old = indexes->view.buf;
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

static PyObject *py_renumber(PyObject *module, PyObject *args) {
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
    const uint64_t *position = positions->view.buf, *events = counts->view.buf;
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

static PyObject *py_gaps_of(PyObject *module, PyObject *args) {
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
    const uint64_t *first = firsts->view.buf, *events = counts->view.buf, *gap = gaps->view.buf;
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

static PyObject *py_positions_of(PyObject *module, PyObject *args) {
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

/* String columns. */

typedef struct {
    Column ends;
    Py_buffer heap;
    bool held;
} Strings;

static void strings_release(Strings *strings) {
    column_release(&strings->ends);
    if (strings->held) {
        PyBuffer_Release(&strings->heap);
        strings->held = false;
    }
}

static bool strings_get(PyObject *ends, PyObject *heap, Strings *strings) {
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

static PyObject *py_pack_strings(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *ends, *heap, *result = NULL;
    Strings strings;
    if (!PyArg_ParseTuple(args, "OO:pack_strings", &ends, &heap) || !strings_get(ends, heap, &strings)) {
        return NULL;
    }
    const uint32_t *at = strings.ends.view.buf;
    size_t size, count = strings.ends.count;
    UNLOCKED_IF(strings.heap.len > LOCKED_BYTES_MAX, size = packed_size(at, count, strings.heap.buf));
    if (size == SIZE_MAX) {
        value_error("a string is longer than 65534 bytes");
    } else if ((result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size)) != NULL) {
        unsigned char *out = (unsigned char *)PyBytes_AsString(result);
        UNLOCKED_IF(strings.heap.len > LOCKED_BYTES_MAX, pack_strings(at, count, strings.heap.buf, out));
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
    UNLOCKED_IF(read > LOCKED_BYTES_MAX, unpack_strings(data->buf, count, ends, out));
    PyObject *array = array_take(state, CODE_I, ends, count), *size = PyLong_FromSize_t(read);
    PyObject *result = array == NULL || size == NULL ? NULL : PyTuple_Pack(3, array, heap, size);
    Py_XDECREF(array);
    Py_XDECREF(size);
    Py_DECREF(heap);
    return result;
}

static PyObject *py_unpack_strings(PyObject *module, PyObject *args) {
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
    const uint32_t *ends = strings->ends.view.buf, *wanted = indexes->view.buf;
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
        memcpy(out + end, (const char *)strings->heap.buf + start, length);
        picked[i] = end += length;
    }
    return pair(array_take(state, CODE_I, picked, count), heap);
}

static PyObject *py_pick_strings(PyObject *module, PyObject *args) {
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

static PyObject *py_join_strings(PyObject *module, PyObject *texts) {
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

static PyObject *py_split_strings(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *ends, *heap;
    Strings strings;
    if (!PyArg_ParseTuple(args, "OO:split_strings", &ends, &heap) || !strings_get(ends, heap, &strings)) {
        return NULL;
    }
    const uint32_t *at = strings.ends.view.buf;
    const char *bytes = strings.heap.buf;
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

static PyObject *py_hash_name(PyObject *Py_UNUSED(module), PyObject *args) {
    unsigned long long kind, position;
    Py_buffer value;
    if (!PyArg_ParseTuple(args, "Ky*K:hash_name", &kind, &value, &position)) {
        return NULL;
    }
    int64_t hash = hash_name(kind, value.buf, (size_t)value.len, position);
    PyBuffer_Release(&value);
    return PyLong_FromLongLong(hash);
}

static PyObject *py_hash_ids(PyObject *module, PyObject *args) {
    PyObject *ends, *heap;
    unsigned long long kind;
    Strings strings;
    if (!PyArg_ParseTuple(args, "OOK:hash_ids", &ends, &heap, &kind) || !strings_get(ends, heap, &strings)) {
        return NULL;
    }
    size_t count = strings.ends.count;
    int64_t *hashes = malloc(count * sizeof *hashes + 8);
    if (hashes != NULL) {
        UNLOCKED_IF(strings.heap.len > LOCKED_BYTES_MAX,
                    hash_ids(strings.ends.view.buf, count, strings.heap.buf, kind, hashes));
    }
    PyObject *result = array_take(state_of(module), CODE_q, hashes, count);
    strings_release(&strings);
    return result;
}

/* A segment's counters. */

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

static PyObject *py_read_counts(PyObject *module, PyObject *args) {
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

static PyObject *py_sum_counts(PyObject *module, PyObject *args) {
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

static PyObject *py_measure_counts(PyObject *Py_UNUSED(module), PyObject *args) {
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

static PyObject *py_add_counts(PyObject *Py_UNUSED(module), PyObject *args) {
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

static bool keys_get(PyObject *keys, Grouping *grouping) {
    Py_ssize_t count = PySequence_Size(keys);
    if (count < 0 || count > 3) {
        if (count > 3) {
            value_error("a report has at most three keys");
        }
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *key = PySequence_GetItem(keys, i);
        const char *name = key == NULL ? NULL : PyUnicode_AsUTF8AndSize(key, NULL);
        bool known = name != NULL;
        if (known) {
            grouping->keys[i] = strcmp(name, "bracket") == 0  ? KEY_BRACKET
                                : strcmp(name, "method") == 0 ? KEY_METHOD
                                                              : KEY_MERCHANT;
        }
        Py_XDECREF(key);
        if (!known) {
            return false;
        }
    }
    grouping->keys_count = (int)count;
    return true;
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

static PyObject *group_columns(State *state, Grouping *grouping, Column *columns) {
    Groups groups;
    Status status;
    const char *problem = NULL;
    grouping->count = columns[0].count;
    for (int i = 1; i < 4; i++) {
        if (columns[i].count != grouping->count) {
            return value_error("columns differ in length");
        }
    }
    grouping->seconds = columns[0].view.buf;
    grouping->amounts = columns[1].view.buf;
    grouping->methods = columns[2].view.buf;
    grouping->merchants = columns[3].view.buf;
    UNLOCKED_IF(columns[0].view.len > LOCKED_BYTES_MAX, status = group(grouping, &groups, &problem));
    PyObject *result = NULL;
    if (status == NO_MEMORY) {
        PyErr_NoMemory();
    } else if (status == INVALID) {
        value_error(problem);
    } else {
        PyObject *windows = array_new(state, CODE_q, groups.windows, groups.count);
        PyObject *codes = array_new(state, CODE_Q, groups.codes, groups.count);
        PyObject *counts = array_new(state, CODE_Q, groups.counts, groups.count);
        if (windows != NULL && codes != NULL && counts != NULL) {
            result = PyTuple_Pack(3, windows, codes, counts);
        }
        Py_XDECREF(windows);
        Py_XDECREF(codes);
        Py_XDECREF(counts);
    }
    groups_free(&groups);
    return result;
}

static PyObject *py_group(PyObject *module, PyObject *args) {
    PyObject *from[4], *ids, *keys, *result = NULL;
    Grouping grouping;
    Column columns[4];
    long long window_s;
    static const char codes[] = "qqBI";
    if (!PyArg_ParseTuple(args, "OOOOOLO:group", &from[0], &from[1], &from[2], &from[3], &ids, &window_s, &keys)) {
        return NULL;
    }
    if (window_s < 0 || window_s > INT32_MAX) {
        return value_error("a window's length is out of range");
    }
    grouping.window_s = (uint32_t)window_s;
    if (!keys_get(keys, &grouping)) {
        return NULL;
    }
    uint64_t *merchant_ids = merchant_ids_get(ids, &grouping.merchant_count);
    if (merchant_ids == NULL) {
        return NULL;
    }
    grouping.merchant_ids = merchant_ids;
    int held = 0;
    while (held < 4 && column_get(from[held], codes[held], &columns[held])) {
        held++;
    }
    if (held == 4) {
        result = group_columns(state_of(module), &grouping, columns);
    }
    while (held > 0) {
        column_release(&columns[--held]);
    }
    free(merchant_ids);
    return result;
}

/* The parser. */

typedef struct {
    PyObject_HEAD
    Parser parser;
    PyObject **names; /* strings by the id of the name, made when first asked for */
    size_t names_size;
    State *state;
    PyObject *module; /* keeps the state alive */
    bool busy;
} ParserObject;

static void forget_names(ParserObject *self) {
    for (size_t i = 0; i < self->names_size; i++) {
        Py_CLEAR(self->names[i]);
    }
}

static PyObject *parser_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    if (!PyArg_ParseTuple(args, ":Parser") || (kwargs != NULL && PyDict_Size(kwargs) != 0)) {
        return NULL;
    }
    PyObject *module = PyType_GetModule(type);
    allocfunc alloc = module == NULL ? NULL : (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    ParserObject *self = alloc == NULL ? NULL : (ParserObject *)alloc(type, 0);
    if (self != NULL) {
        self->state = PyModule_GetState(module);
        self->module = Py_NewRef(module);
        parser_init(&self->parser, self->state->seed);
    }
    return (PyObject *)self;
}

static void parser_dealloc(PyObject *object) {
    ParserObject *self = (ParserObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    forget_names(self);
    free(self->names);
    parser_free(&self->parser);
    Py_XDECREF(self->module);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyObject *parser_names(ParserObject *self) {
    const Names *names = &self->parser.names;
    if (names->held > self->names_size) {
        size_t size = names->held + (size_t)names->held / 2;
        PyObject **grown = realloc(self->names, size * sizeof *grown);
        if (grown == NULL) {
            return PyErr_NoMemory();
        }
        memset(grown + self->names_size, 0, (size - self->names_size) * sizeof *grown);
        self->names = grown;
        self->names_size = size;
    }
    PyObject *list = PyList_New((Py_ssize_t)names->batch_count);
    for (uint32_t number = 0; list != NULL && number < names->batch_count; number++) {
        const Name *name = names_at(names, number);
        PyObject **held = &self->names[name->id];
        if (*held == NULL) {
            *held = PyUnicode_FromStringAndSize(name->name, (Py_ssize_t)name->length);
        }
        if (*held == NULL || PyList_SetItem(list, (Py_ssize_t)number, Py_NewRef(*held)) < 0) {
            Py_DECREF(list);
            list = NULL;
        }
    }
    return list;
}

static PyObject *parser_result(ParserObject *self, const uint64_t *counts, size_t texts) {
    const Parser *parser = &self->parser;
    State *state = self->state;
    size_t count = parser->count;
    PyObject *parts[] = {
        array_new(state, CODE_q, parser->seconds, count),
        array_new(state, CODE_I, parser->nanos, count),
        array_new(state, CODE_q, parser->amounts, count),
        array_new(state, CODE_B, parser->methods, count),
        array_new(state, CODE_I, parser->merchants, count),
        parser_names(self),
        array_new(state, CODE_Q, parser->positions, count),
        array_new(state, CODE_I, parser->id_ends, parser->ids_used == 0 ? 0 : count),
        PyBytes_FromStringAndSize(parser->ids, (Py_ssize_t)parser->ids_used),
        array_new(state, CODE_Q, counts, texts),
        array_new(state, CODE_Q, parser->unsure, parser->unsure_count * (sizeof(Unsure) / 8)),
    };
    const Py_ssize_t size = sizeof parts / sizeof *parts;
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

/* The texts of one call. */
typedef struct {
    Py_buffer *views;
    size_t count, held;
    Py_ssize_t bytes;
} Texts;

static void texts_release(Texts *texts) {
    while (texts->held > 0) {
        PyBuffer_Release(&texts->views[--texts->held]);
    }
    free(texts->views);
}

static bool texts_get(PyObject *from, Texts *texts) {
    Py_ssize_t count = PySequence_Size(from);
    *texts = (Texts){.count = (size_t)count};
    if (count < 0) {
        return false;
    }
    texts->views = malloc(((size_t)count + 1) * sizeof *texts->views);
    if (texts->views == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *text = PySequence_GetItem(from, i);
        Py_buffer *view = &texts->views[i];
        int got = text == NULL ? -1 : PyObject_GetBuffer(text, view, PyBUF_SIMPLE);
        Py_XDECREF(text);
        if (got == 0) {
            texts->held++;
            texts->bytes += view->len;
        }
        if (got < 0 || !view->readonly) { /* what may change while it is read cannot be read safely */
            if (got == 0) {
                PyErr_SetString(PyExc_TypeError, "a text to parse is bytes, or a view that nobody can write to");
            }
            texts_release(texts);
            return false;
        }
    }
    return true;
}

static Status parse_texts(Parser *parser, const Texts *texts, const uint64_t *firsts, const char *whole, uint64_t *counts) {
    for (size_t i = 0; i < texts->count; i++) {
        const Py_buffer *view = &texts->views[i];
        size_t before = parser->count;
        Status status = parser_add(parser, i, view->buf, (size_t)view->len, firsts[i], whole[i] != 0);
        if (status != DONE) {
            return status;
        }
        counts[i] = parser->count - before;
    }
    return DONE;
}

static PyObject *parse_held(ParserObject *self, const Texts *texts, const Column *firsts, const Py_buffer *whole) {
    if (firsts->count != texts->count || (size_t)whole->len != texts->count) {
        return value_error("columns differ in length");
    }
    uint64_t *counts = malloc(texts->count * sizeof *counts + 8);
    if (counts == NULL) {
        return PyErr_NoMemory();
    }
    Parser *parser = &self->parser;
    Status status;
    parser->count = parser->ids_used = parser->unsure_count = 0;
    if (names_begin(&parser->names)) {
        forget_names(self);
    }
    UNLOCKED_IF(texts->bytes > LOCKED_BYTES_MAX,
                status = parse_texts(parser, texts, firsts->view.buf, whole->buf, counts));
    PyObject *result = status == DONE ? parser_result(self, counts, texts->count) : PyErr_NoMemory();
    parser_trim(parser);
    free(counts);
    return result;
}

static PyObject *parser_parse(PyObject *object, PyObject *args) {
    ParserObject *self = (ParserObject *)object;
    PyObject *from, *positions, *result = NULL;
    Py_buffer whole;
    long long latest;
    Texts texts;
    Column firsts;
    if (!PyArg_ParseTuple(args, "OOy*L:parse", &from, &positions, &whole, &latest)) {
        return NULL;
    }
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "this parser is at work in another thread");
    } else if (texts_get(from, &texts)) {
        if (column_get(positions, 'Q', &firsts)) {
            self->busy = true;
            self->parser.latest = latest;
            result = parse_held(self, &texts, &firsts, &whole);
            self->busy = false;
            column_release(&firsts);
        }
        texts_release(&texts);
    }
    PyBuffer_Release(&whole);
    return result;
}

static PyMethodDef parser_methods[] = {
    {"parse", parser_parse, METH_VARARGS, "Parse texts to columns; see _kernel.pyi."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot parser_slots[] = {
    {Py_tp_doc, "Parses ordinary lines to columns, and names the lines of which it is not certain."},
    {Py_tp_new, parser_new},
    {Py_tp_dealloc, parser_dealloc},
    {Py_tp_methods, parser_methods},
    {0, NULL},
};

static PyType_Spec parser_spec = {
    .name = "tillroll._kernel.Parser",
    .basicsize = sizeof(ParserObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = parser_slots,
};

/* The module. */

static PyMethodDef functions[] = {
    {"add_counts", py_add_counts, METH_VARARGS, NULL},
    {"bounds", py_bounds, METH_O, NULL},
    {"gaps_of", py_gaps_of, METH_VARARGS, NULL},
    {"group", py_group, METH_VARARGS, NULL},
    {"hash_ids", py_hash_ids, METH_VARARGS, NULL},
    {"hash_name", py_hash_name, METH_VARARGS, NULL},
    {"indexes_of", py_indexes_of, METH_O, NULL},
    {"interleave", py_interleave, METH_VARARGS, NULL},
    {"join_strings", py_join_strings, METH_O, NULL},
    {"largest", py_largest, METH_O, NULL},
    {"narrow", py_narrow, METH_VARARGS, NULL},
    {"pack_strings", py_pack_strings, METH_VARARGS, NULL},
    {"pick", py_pick, METH_VARARGS, NULL},
    {"pick_strings", py_pick_strings, METH_VARARGS, NULL},
    {"positions_of", py_positions_of, METH_VARARGS, NULL},
    {"read_counts", py_read_counts, METH_VARARGS, NULL},
    {"measure_counts", py_measure_counts, METH_VARARGS, NULL},
    {"sum_counts", py_sum_counts, METH_VARARGS, NULL},
    {"renumber", py_renumber, METH_VARARGS, NULL},
    {"split_strings", py_split_strings, METH_VARARGS, NULL},
    {"unpack_strings", py_unpack_strings, METH_VARARGS, NULL},
    {"widen", py_widen, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module) {
    State *state = PyModule_GetState(module);
    PyObject *arrays = PyImport_ImportModule("array"), *salt = PyUnicode_FromString("tillroll._kernel");
    if (arrays == NULL || salt == NULL) {
        Py_XDECREF(arrays);
        Py_XDECREF(salt);
        return -1;
    }
    state->array = PyObject_GetAttrString(arrays, "array");
    state->frombytes = PyUnicode_InternFromString("frombytes");
    state->seed = mix((uint64_t)PyObject_Hash(salt), UINT64_C(0xA0761D6478BD642F)); /* Python's own random secret */
    Py_DECREF(arrays);
    Py_DECREF(salt);
    for (int code = 0; code < 4; code++) {
        const char letter[2] = {code_letter[code], 0};
        state->codes[code] = PyUnicode_InternFromString(letter);
    }
    static const int64_t floors[] = BRACKET_FLOORS;
    PyObject *contract = Py_BuildValue("(iiLii(LLLL))", METHODS, BRACKETS, AMOUNT_MAX, NAME_CHARACTERS_MAX, LINE_BYTES_MAX,
                                       floors[0], floors[1], floors[2], floors[3]);
    int added = contract == NULL ? -1 : PyModule_AddObjectRef(module, "CONTRACT", contract);
    Py_XDECREF(contract);
    state->parser_type = PyType_FromModuleAndSpec(module, &parser_spec, NULL);
    if (added < 0 || state->array == NULL || state->frombytes == NULL || state->parser_type == NULL) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "Parser", state->parser_type);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    State *state = PyModule_GetState(module);
    Py_VISIT(state->array);
    Py_VISIT(state->parser_type);
    return 0;
}

static int module_clear(PyObject *module) {
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->array);
    Py_CLEAR(state->frombytes);
    Py_CLEAR(state->parser_type);
    for (int code = 0; code < 4; code++) {
        Py_CLEAR(state->codes[code]);
    }
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "tillroll._kernel",
    .m_doc = "The compiled kernel; tillroll.core.columns describes its functions.",
    .m_size = sizeof(State),
    .m_methods = functions,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&definition); }
