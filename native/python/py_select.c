/* A selection as an object. */
#include "py_dictionary.h"

#include <stdlib.h>

typedef struct {
    Owned owned;
    Selection selection;
    PyObject *names, *targets_from, *after_from; /* keep alive what the selection points at */
    Target *targets;
    Column wanted;
    bool busy;
} SelectionObject;

static void selection_dealloc(PyObject *object) {
    SelectionObject *self = (SelectionObject *)object;
    selection_free(&self->selection);
    for (size_t i = 0; i < self->selection.targets_count; i++) {
        free((void *)(uintptr_t)self->targets[i].inner);
    }
    free(self->targets);
    column_release(&self->wanted);
    Py_XDECREF(self->names);
    Py_XDECREF(self->targets_from);
    Py_XDECREF(self->after_from);
    owned_free(object);
}

static bool bytes_get(PyObject *tuple, Py_ssize_t index, const char **bytes, size_t *size) {
    PyObject *item = PyTuple_GetItem(tuple, index);
    char *found;
    Py_ssize_t length;
    if (item == NULL || PyBytes_AsStringAndSize(item, &found, &length) < 0) {
        return false;
    }
    *bytes = found;
    *size = (size_t)length;
    return true;
}

/* A copy of which of a merchant's codes a target has; false with an error. */
static bool inner_get(PyObject *from, uint64_t step, Target *target) {
    Column inner = {.held = false};
    if (!column_get(from, 'I', &inner)) {
        return false;
    }
    bool fine = inner.count == 0 || largest_unsigned(inner.data, 4, inner.count) < step;
    uint32_t *copy = fine ? malloc(inner.count * sizeof *copy + 8) : NULL;
    if (copy != NULL) {
        memcpy(copy, inner.data, inner.count * sizeof *copy);
        target->inner = copy;
        target->inner_count = inner.count;
    }
    column_release(&inner);
    return copy != NULL || (fine ? PyErr_NoMemory() : value_error("a merchant has no such code")) != NULL;
}

/* Targets from (before, after, inner codes): two of bytes and a column. */
static bool targets_get(SelectionObject *self, PyObject *from) {
    Selection *selection = &self->selection;
    self->targets_from = PySequence_Tuple(from);
    Py_ssize_t count = self->targets_from == NULL ? -1 : PyTuple_Size(self->targets_from);
    self->targets = count < 0 ? NULL : calloc((size_t)count + 1, sizeof *self->targets);
    if (self->targets == NULL) {
        return count < 0 ? false : PyErr_NoMemory() != NULL;
    }
    selection->targets = self->targets;
    selection->targets_count = (size_t)count;
    for (Py_ssize_t i = 0; i < count; i++) {
        Target *target = &self->targets[i];
        PyObject *item = PyTuple_GetItem(self->targets_from, i);
        if (!PyTuple_Check(item) || PyTuple_Size(item) != 3) {
            return value_error("a target is two texts and its codes") != NULL;
        }
        if (!bytes_get(item, 0, &target->before, &target->before_size) ||
            !bytes_get(item, 1, &target->after, &target->after_size) ||
            !inner_get(PyTuple_GetItem(item, 2), selection->step, target)) {
            return false;
        }
    }
    return true;
}

/* The cursor, from None or (what it is ordered by in two words, datapoint). */
static bool after_get(SelectionObject *self, PyObject *from) {
    Selection *selection = &self->selection;
    unsigned long long low, high;
    PyObject *datapoint;
    if (from == Py_None) {
        return true;
    }
    if (!PyArg_ParseTuple(from, "KKO!:after", &low, &high, &PyBytes_Type, &datapoint)) {
        return false;
    }
    char *text;
    Py_ssize_t size;
    self->after_from = Py_NewRef(datapoint);
    if (PyBytes_AsStringAndSize(datapoint, &text, &size) < 0) {
        return false;
    }
    selection->has_after = true;
    selection->after = text;
    selection->after_size = (size_t)size;
    selection->after_rank = (Rank){low, high};
    return true;
}

static bool selection_get(SelectionObject *self, PyObject *args) {
    Selection *selection = &self->selection;
    PyObject *names, *targets, *wanted, *after;
    unsigned long long known, size, step, limit;
    int by_merchant, order;
    if (!PyArg_ParseTuple(args, "OK(KKp)OO(KiO):Selection", &names, &known, &size, &step, &by_merchant, &targets,
                          &wanted, &limit, &order, &after)) {
        return false;
    }
    if (Py_TYPE(names) != self->owned.state->dictionary || known > ((DictionaryObject *)names)->dictionary.count) {
        return value_error("there are not so many names") != NULL;
    }
    if (step == 0 || size < step || size % step != 0 || size > 1 << 20 || limit == 0 || limit > SELECTED_MAX ||
        order < BY_DATAPOINT || order > BY_AMOUNT) {
        return value_error("a selection's size, step, order or limit is out of range") != NULL;
    }
    self->names = Py_NewRef(names);
    selection->known = (uint32_t)known;
    selection->by_merchant = by_merchant;
    selection->order = (SelectionOrder)order;
    selection->size = size;
    selection->step = step;
    selection->limit = limit;
    if (!targets_get(self, targets) || !after_get(self, after)) {
        return false;
    }
    if (wanted != Py_None) {
        if (!column_get(wanted, 'I', &self->wanted)) {
            return false;
        }
        selection->wanted = self->wanted.view.buf;
        selection->wanted_count = self->wanted.count;
        for (size_t i = 1; i < selection->wanted_count; i++) {
            if (selection->wanted[i] <= selection->wanted[i - 1]) {
                return value_error("the merchants wanted do not rise") != NULL;
            }
        }
    }
    return selection_reserve(selection) || PyErr_NoMemory() != NULL;
}

static PyObject *selection_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs)) {
    PyObject *nothing = PyTuple_New(0);
    SelectionObject *self = nothing == NULL ? NULL : (SelectionObject *)owned_new(type, nothing, NULL);
    Py_XDECREF(nothing);
    if (self != NULL && !selection_get(self, args)) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static Py_ssize_t selection_length(PyObject *object) { return (Py_ssize_t)((SelectionObject *)object)->selection.used; }

/* Rows of (window, part, cells), of which each cells is held; false with an error. */
static bool segments_get(PyObject *rows, Py_ssize_t count, Segment *segments, PyObject **held) {
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *row = PyList_GetItem(rows, i), *part = NULL;
        PyObject *cells = row == NULL || !PyTuple_Check(row) || PyTuple_Size(row) != 3 ? NULL : PyTuple_GetItem(row, 2);
        char *bytes;
        Py_ssize_t size;
        if (cells == NULL) {
            return value_error("a row is a window, a part and its cells") != NULL;
        }
        part = PyTuple_GetItem(row, 1);
        if (PyBytes_AsStringAndSize(cells, &bytes, &size) < 0) {
            return false;
        }
        long long number = PyLong_AsLongLong(part);
        if (PyErr_Occurred()) {
            return false;
        }
        segments[i] = (Segment){number < 0 ? UINT64_MAX : (uint64_t)number, (const unsigned char *)bytes, (size_t)size};
        held[i] = Py_NewRef(cells);
    }
    return true;
}

static bool add_held(SelectionObject *self, const Py_buffer *window, const Segment *segments, size_t count,
                     const Loose *loose) {
    NameHeap *texts = ((DictionaryObject *)self->names)->dictionary.texts;
    Selection *selection = &self->selection;
    const char *problem = NULL;
    Status status;
    name_heap_hold(texts);
    selection->texts = texts;
    self->busy = true;
    UNLOCKED_IF(count * selection->size + loose->count > 8192,
                status = selection_add(selection, window->buf, (size_t)window->len, segments, count, loose, &problem));
    self->busy = false;
    name_heap_release(texts);
    return status == DONE || (status == INVALID ? value_error(problem) : PyErr_NoMemory()) != NULL;
}

/* The columns of single totals, which are held; false with an error. */
static bool loose_get(PyObject *const from[4], Column columns[4], Loose *loose) {
    for (int i = 0; i < 4; i++) {
        if (!column_get(from[i], 'Q', &columns[i])) {
            return false;
        }
        if (columns[i].count != columns[0].count) {
            return value_error("columns differ in length") != NULL;
        }
    }
    *loose = (Loose){columns[0].data, columns[1].data, columns[2].data, columns[3].data, columns[0].count};
    return true;
}

static PyObject *selection_add_window(PyObject *object, PyObject *args) {
    SelectionObject *self = (SelectionObject *)object;
    Py_buffer window;
    PyObject *rows, *from[4];
    Column columns[4] = {{.held = false}, {.held = false}, {.held = false}, {.held = false}};
    Loose loose;
    if (!PyArg_ParseTuple(args, "y*OOOOO:add", &window, &rows, &from[0], &from[1], &from[2], &from[3])) {
        return NULL;
    }
    Py_ssize_t count = PyList_Check(rows) ? PyList_Size(rows) : -1;
    bool added = false;
    Segment *segments = count < 0 ? NULL : malloc((size_t)count * sizeof *segments + 8);
    PyObject **held = count < 0 ? NULL : calloc((size_t)count + 1, sizeof *held);
    if (count < 0 || self->busy) {
        value_error("segments come as a list, to a selection that is not at work");
    } else if (segments == NULL || held == NULL) {
        PyErr_NoMemory();
    } else {
        added = loose_get(from, columns, &loose) && segments_get(rows, count, segments, held) &&
                add_held(self, &window, segments, (size_t)count, &loose);
    }
    for (Py_ssize_t i = 0; held != NULL && i < count; i++) {
        Py_XDECREF(held[i]);
    }
    free(held);
    free(segments);
    for (int i = 0; i < 4; i++) {
        column_release(&columns[i]);
    }
    PyBuffer_Release(&window);
    return added ? Py_NewRef(Py_None) : NULL;
}

static PyObject *selection_best(PyObject *object, PyObject *Py_UNUSED(none)) {
    SelectionObject *self = (SelectionObject *)object;
    if (self->busy) {
        return value_error("a selection is at work");
    }
    self->selection.texts = ((DictionaryObject *)self->names)->dictionary.texts;
    return selected(&self->selection, true);
}

static PyObject *selection_totals(PyObject *object, PyObject *Py_UNUSED(none)) {
    const Selection *selection = &((SelectionObject *)object)->selection;
    PyObject *amount = wide_new(selection->amount_low, selection->amount_high);
    return amount == NULL ? NULL
                          : Py_BuildValue("KKN", (unsigned long long)selection->datapoints,
                                          (unsigned long long)selection->events, amount);
}

static PyMethodDef selection_methods[] = {
    {"add", selection_add_window, METH_VARARGS, NULL},
    {"best", selection_best, METH_NOARGS, NULL},
    {"totals", selection_totals, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot selection_slots[] = {
    {Py_tp_doc, "The first of many aggregates; see tillroll.core.columns."},
    {Py_tp_new, selection_new},
    {Py_tp_dealloc, selection_dealloc},
    {Py_tp_methods, selection_methods},
    {Py_sq_length, selection_length},
    {0, NULL},
};

PyType_Spec selection_spec = {
    .name = "tillroll._kernel.Selection",
    .basicsize = sizeof(SelectionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = selection_slots,
};
