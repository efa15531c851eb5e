/* Columns of numbers: bounds, narrowing, widening. */
#include "bindings.h"

#include <stdlib.h>

static bool bounds_of(const Column *column, uint64_t *least, uint64_t *largest) {
    if (column->is_signed) {
        bounds_signed(column->data, column->count, (int64_t *)least, (int64_t *)largest);
    } else {
        *least = 0;
        *largest = largest_unsigned(column->data, column->width, column->count);
    }
    return true;
}

PyObject *py_bounds(PyObject *Py_UNUSED(module), PyObject *values) {
    Column column;
    int64_t least, largest;
    if (!column_get(values, 'q', &column)) {
        return NULL;
    }
    size_t count = column.count;
    UNLOCKED_IF(column.view.len > LOCKED_BYTES_MAX, bounds_signed(column.data, count, &least, &largest));
    column_release(&column);
    return count == 0 ? value_error("an empty column has no bounds")
                      : pair(PyLong_FromLongLong(least), PyLong_FromLongLong(largest));
}

PyObject *py_largest(PyObject *Py_UNUSED(module), PyObject *values) {
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
                    narrow_signed(column->data, column->count, base, width, out));
    } else if (width != 0) {
        UNLOCKED_IF(column->view.len > LOCKED_BYTES_MAX,
                    narrow_unsigned(column->data, column->width, column->count, (uint64_t)base, width, out));
    }
    return pair(PyLong_FromLong(width), bytes);
}

PyObject *py_narrow(PyObject *Py_UNUSED(module), PyObject *args) {
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
    uint64_t low = UINT64_MAX, high = 0;
    for (size_t i = 0; i < count; i++, data += width) {
        uint64_t value = width == 8 ? load64(data) : width == 4 ? load32(data) : width == 2 ? load16(data) : *data;
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    *least = low;
    *largest = high;
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

PyObject *py_widen(PyObject *module, PyObject *args) {
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

static PyObject *reorder(PyObject *args, void (*order)(const unsigned char *, int, size_t, unsigned char *)) {
    Py_buffer data;
    int width;
    if (!PyArg_ParseTuple(args, "y*i", &data, &width)) {
        return NULL;
    }
    PyObject *result = NULL;
    if ((width != 1 && width != 2 && width != 4 && width != 8) || data.len % width != 0) {
        PyErr_Format(PyExc_ValueError, "%zd bytes are no items of width %d", data.len, width);
    } else if ((result = PyBytes_FromStringAndSize(NULL, data.len)) != NULL) {
        unsigned char *out = (unsigned char *)PyBytes_AsString(result);
        UNLOCKED_IF(data.len > LOCKED_BYTES_MAX, order(data.buf, width, (size_t)(data.len / width), out));
    }
    PyBuffer_Release(&data);
    return result;
}

PyObject *py_shuffle(PyObject *Py_UNUSED(module), PyObject *args) { return reorder(args, shuffle); }

PyObject *py_unshuffle(PyObject *Py_UNUSED(module), PyObject *args) { return reorder(args, unshuffle); }

PyObject *py_windows(PyObject *module, PyObject *args) {
    PyObject *from;
    long long length;
    Column seconds;
    if (!PyArg_ParseTuple(args, "OL:windows", &from, &length) || !column_get(from, 'q', &seconds)) {
        return NULL;
    }
    int64_t least = 0, largest = 0;
    size_t count = seconds.count;
    if (count != 0) {
        bounds_signed(seconds.view.buf, count, &least, &largest);
    }
    const char *problem = length <= 0 || length > INT32_MAX ? "a window's length is out of range"
                          : least < -SECONDS_LIMIT || largest > SECONDS_LIMIT ? "a second is out of range"
                                                                             : NULL;
    int64_t first = problem != NULL ? 0 : least / length - (least % length < 0);
    int64_t last = problem != NULL ? 0 : largest / length - (largest % length < 0);
    problem = problem == NULL && last - first >= UINT32_MAX ? "the windows are too many" : problem;
    uint32_t *windows = problem != NULL ? NULL : malloc(count * sizeof *windows + 1);
    if (windows != NULL) {
        UNLOCKED_IF(seconds.view.len > LOCKED_BYTES_MAX,
                    windows_of(seconds.view.buf, count, largest, first, (uint32_t)length, windows));
    }
    column_release(&seconds);
    if (problem != NULL) {
        return value_error(problem);
    }
    PyObject *column = array_take(state_of(module), CODE_I, windows, count);
    return column == NULL ? NULL : Py_BuildValue("LNL", (long long)first, column, (long long)(last - first + 1));
}

PyObject *py_shift(PyObject *module, PyObject *args) {
    PyObject *values_from, *starts_from, *shifts_from, *result = NULL;
    Column values = {.held = false}, starts = {.held = false}, shifts = {.held = false};
    if (!PyArg_ParseTuple(args, "OOO:shift", &values_from, &starts_from, &shifts_from)) {
        return NULL;
    }
    if (column_get(values_from, 'q', &values) && column_get(starts_from, 'q', &starts) &&
        column_get(shifts_from, 'q', &shifts)) {
        if (starts.count == 0 || starts.count != shifts.count) {
            value_error("there is not a shift for each start");
        } else {
            int64_t *out = malloc(values.count * sizeof *out + 1);
            if (out != NULL) {
                UNLOCKED_IF(values.view.len > LOCKED_BYTES_MAX, shift(values.view.buf, values.count, starts.view.buf,
                                                                      shifts.view.buf, starts.count, out));
            }
            result = array_take(state_of(module), CODE_q, out, values.count);
        }
    }
    column_release(&values);
    column_release(&starts);
    column_release(&shifts);
    return result;
}

PyObject *py_accepts(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *codes_from, *result = NULL;
    Py_buffer table;
    Column codes = {.held = false};
    if (!PyArg_ParseTuple(args, "Oy*:accepts", &codes_from, &table)) {
        return NULL;
    }
    if (column_get(codes_from, 0, &codes) && column_own(&codes)) {
        if (codes.is_signed || (codes.width != 1 && codes.width != 4)) {
            value_error("codes are unsigned, of 1 or 4 bytes");
        } else if (codes.count != 0 &&
                   largest_unsigned(codes.data, codes.width, codes.count) >= (uint64_t)table.len) {
            value_error("a code is out of range");
        } else {
            result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)codes.count);
            if (result != NULL) {
                uint8_t *mask = (uint8_t *)PyBytes_AsString(result);
                UNLOCKED_IF(codes.view.len > LOCKED_BYTES_MAX,
                            accepts(codes.data, codes.width, codes.count, table.buf, mask));
            }
        }
    }
    column_release(&codes);
    PyBuffer_Release(&table);
    return result;
}

PyObject *py_bucketize(PyObject *module, PyObject *args) {
    PyObject *values_from, *bounds_from, *result = NULL;
    Column values = {.held = false}, bounds = {.held = false};
    if (!PyArg_ParseTuple(args, "OO:bucketize", &values_from, &bounds_from)) {
        return NULL;
    }
    if (column_get(values_from, 'q', &values) && column_get(bounds_from, 'q', &bounds)) {
        if (bounds.count > BOUNDS_MAX) {
            value_error("there are too many bounds");
        } else {
            uint8_t *buckets = malloc(values.count + 1);
            if (buckets != NULL) {
                UNLOCKED_IF(values.view.len > LOCKED_BYTES_MAX,
                            bucketize(values.view.buf, values.count, bounds.view.buf, bounds.count, buckets));
            }
            result = array_take(state_of(module), CODE_B, buckets, values.count);
        }
    }
    column_release(&values);
    column_release(&bounds);
    return result;
}
