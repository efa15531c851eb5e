/* A tally of datapoints as an object. */
#include "bindings.h"

#include <stdlib.h>

#define PARTS_MAX 256

typedef struct {
    Owned owned;
    Tally tally;
    PyObject *from; /* keeps alive what the rest points at: tuples and bytes, which nobody can change */
    Spelling *spellings;
    Recounted *reports;
    size_t spellings_count, reports_count, strings_count;
    bool busy;
} TallyObject;

static bool invalid(const char *problem) { return value_error(problem) != NULL; }

static void tally_dealloc(PyObject *object) {
    TallyObject *self = (TallyObject *)object;
    for (size_t i = 0; i < self->spellings_count; i++) {
        free((void *)self->spellings[i].texts);
    }
    for (size_t i = 0; i < self->reports_count; i++) {
        const Recounted *report = &self->reports[i];
        for (size_t j = 0; j < report->where_count; j++) {
            free((void *)report->where[j].texts);
        }
        free((void *)report->where);
        free((void *)report->by);
    }
    free(self->spellings);
    free(self->reports);
    tally_free(&self->tally);
    Py_XDECREF(self->from);
    owned_free(object);
}

/* A tuple's size, and room for as many items; NULL with an error. */
static void *room_for(PyObject *tuple, size_t item, size_t *count) {
    if (!PyTuple_Check(tuple)) {
        return value_error("a tuple is wanted");
    }
    *count = (size_t)PyTuple_Size(tuple);
    void *room = calloc(*count + 1, item);
    if (room == NULL) {
        PyErr_NoMemory();
    }
    return room;
}

static Text *texts_get(PyObject *from, size_t *count) {
    Text *texts = room_for(from, sizeof *texts, count);
    for (size_t i = 0; texts != NULL && i < *count; i++) {
        char *text;
        Py_ssize_t size;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(from, (Py_ssize_t)i), &text, &size) < 0) {
            free(texts);
            return NULL;
        }
        texts[i] = (Text){text, (size_t)size};
    }
    return texts;
}

/* From (kind, pattern, starts, offsets, texts, column). */
static bool spelling_get(PyObject *from, Spelling *spelling, size_t *strings) {
    const char *pattern, *starts, *offsets;
    Py_ssize_t pattern_size, starts_size, offsets_size, column;
    PyObject *texts;
    if (!PyTuple_Check(from) || !PyArg_ParseTuple(from, "iy#y#y#On", &spelling->kind, &pattern, &pattern_size, &starts,
                                                  &starts_size, &offsets, &offsets_size, &texts, &column)) {
        return PyErr_Occurred() == NULL && invalid("a spelling is a tuple");
    }
    Text *got = texts_get(texts, &spelling->texts_count);
    if (got == NULL) {
        return false;
    }
    spelling->texts = got;
    spelling->pattern = (Text){pattern, (size_t)pattern_size};
    spelling->starts = (const int64_t *)starts;
    spelling->offsets = (const int64_t *)offsets;
    spelling->pieces = (size_t)starts_size / sizeof(int64_t);
    spelling->column = (size_t)column;
    bool fine = false;
    switch (spelling->kind) {
    case SPELL_CLOCK:
        fine = spelling->pieces > 0 && starts_size == offsets_size && spelling_pattern_valid(pattern, (size_t)pattern_size);
        break;
    case SPELL_AMOUNT:
        fine = spelling->texts_count == spelling->pieces + 1;
        break;
    case SPELL_METHOD:
        fine = spelling->texts_count > 0;
        break;
    case SPELL_STRING:
        fine = column >= 0 && column < INT32_MAX;
        *strings = fine && spelling->column >= *strings ? spelling->column + 1 : *strings;
        break;
    default:
        break;
    }
    return fine || invalid("a spelling is none that is known");
}

static bool place_get(PyObject *from, size_t below, size_t *place) {
    *place = PyLong_AsSize_t(from);
    return !PyErr_Occurred() && (*place < below || invalid("there is no such spelling"));
}

/* From (prefix, by, where), `where` being tuples of (spelling, texts). */
static bool report_get(PyObject *from, size_t spellings, Recounted *report) {
    const char *prefix;
    Py_ssize_t size;
    PyObject *by, *where;
    if (!PyTuple_Check(from) || !PyArg_ParseTuple(from, "y#OO", &prefix, &size, &by, &where)) {
        return PyErr_Occurred() == NULL && invalid("a report is a tuple");
    }
    report->prefix = (Text){prefix, (size_t)size};
    size_t *places = room_for(by, sizeof *places, &report->by_count);
    report->by = places;
    for (size_t i = 0; places != NULL && i < report->by_count; i++) {
        if (!place_get(PyTuple_GetItem(by, (Py_ssize_t)i), spellings, &places[i])) {
            return false;
        }
    }
    Allowed *allowed = places == NULL ? NULL : room_for(where, sizeof *allowed, &report->where_count);
    report->where = allowed;
    for (size_t i = 0; allowed != NULL && i < report->where_count; i++) {
        PyObject *place, *texts, *item = PyTuple_GetItem(where, (Py_ssize_t)i);
        if (!PyTuple_Check(item) || !PyArg_ParseTuple(item, "OO", &place, &texts) ||
            !place_get(place, spellings, &allowed[i].spelling) ||
            (allowed[i].texts = texts_get(texts, &allowed[i].count)) == NULL) {
            return PyErr_Occurred() == NULL && invalid("a condition is a tuple");
        }
    }
    return allowed != NULL;
}

static bool tally_get(TallyObject *self, PyObject *args) {
    PyObject *spellings, *reports;
    self->from = Py_NewRef(args);
    tally_init(&self->tally, self->owned.state->seed);
    if (!PyArg_ParseTuple(args, "OO:Tally", &spellings, &reports)) {
        return false;
    }
    self->spellings = room_for(spellings, sizeof *self->spellings, &self->spellings_count);
    for (size_t i = 0; self->spellings != NULL && i < self->spellings_count; i++) {
        if (!spelling_get(PyTuple_GetItem(spellings, (Py_ssize_t)i), &self->spellings[i], &self->strings_count)) {
            return false;
        }
    }
    self->reports = self->spellings == NULL ? NULL : room_for(reports, sizeof *self->reports, &self->reports_count);
    for (size_t i = 0; self->reports != NULL && i < self->reports_count; i++) {
        if (!report_get(PyTuple_GetItem(reports, (Py_ssize_t)i), self->spellings_count, &self->reports[i])) {
            return false;
        }
    }
    return self->reports != NULL;
}

static PyObject *tally_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs)) {
    PyObject *nothing = PyTuple_New(0);
    TallyObject *self = nothing == NULL ? NULL : (TallyObject *)owned_new(type, nothing, NULL);
    Py_XDECREF(nothing);
    if (self != NULL && !tally_get(self, args)) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

/* What was borrowed from Python for one call. */
typedef struct {
    Column *indexes;
    Strings *strings;
    StringColumn *columns;
    size_t count, held;
} Pieces;

static void pieces_release(Pieces *pieces) {
    for (size_t i = 0; i < pieces->held; i++) {
        column_release(&pieces->indexes[i]);
        strings_release(&pieces->strings[i]);
    }
    free(pieces->indexes);
    free(pieces->strings);
    free(pieces->columns);
}

/* String columns from a list of (indexes, ends, heap), each of so many rows. */
static bool pieces_get(PyObject *from, size_t rows, Pieces *pieces) {
    PyObject *tuple = PySequence_Tuple(from);
    if (tuple == NULL) {
        return false;
    }
    pieces->count = (size_t)PyTuple_Size(tuple);
    pieces->indexes = calloc(pieces->count + 1, sizeof *pieces->indexes);
    pieces->strings = calloc(pieces->count + 1, sizeof *pieces->strings);
    pieces->columns = calloc(pieces->count + 1, sizeof *pieces->columns);
    bool fine = pieces->indexes != NULL && pieces->strings != NULL && pieces->columns != NULL;
    if (!fine) {
        PyErr_NoMemory();
    }
    for (size_t i = 0; fine && i < pieces->count; i++) {
        PyObject *indexes, *ends, *heap, *item = PyTuple_GetItem(tuple, (Py_ssize_t)i);
        Column *column = &pieces->indexes[i];
        Strings *strings = &pieces->strings[i];
        fine = PyTuple_Check(item) ? PyArg_ParseTuple(item, "OOO", &indexes, &ends, &heap) : invalid("a string column is a tuple");
        pieces->held = fine ? i + 1 : pieces->held;
        fine = fine && column_get(indexes, 'I', column) && column_own(column) && strings_get(ends, heap, strings) &&
               strings_own(strings) && indexes_in(column, strings->ends.count) &&
               (column->count == rows || invalid("columns differ in length"));
        pieces->columns[i] = (StringColumn){column->data, strings->ends.data, strings->text};
    }
    Py_DECREF(tuple); /* the buffers keep their owners */
    return fine;
}

static bool methods_known(const TallyObject *self, const Column *methods) {
    uint64_t most = largest_unsigned(methods->data, 1, methods->count);
    for (size_t i = 0; i < self->spellings_count; i++) {
        const Spelling *spelling = &self->spellings[i];
        if (spelling->kind == SPELL_METHOD && methods->count > 0 && most >= spelling->texts_count) {
            return invalid("there is no such method");
        }
    }
    return true;
}

static bool is_free(const TallyObject *self) { return !self->busy || invalid("the tally is at work"); }

static bool count_borrowed(TallyObject *self, const Py_buffer *wanted, const RecountEvents *events) {
    Status status;
    self->busy = true;
    UNLOCKED_IF(events->count > 64,
                status = tally_count(&self->tally, self->spellings, self->spellings_count, self->reports,
                                     self->reports_count, wanted->buf, events));
    self->busy = false;
    return status == DONE || PyErr_NoMemory() != NULL;
}

static PyObject *tally_count_events(PyObject *object, PyObject *args) {
    TallyObject *self = (TallyObject *)object;
    Py_buffer wanted;
    PyObject *seconds_from, *amounts_from, *methods_from, *strings_from;
    Column seconds = {.held = false}, amounts = {.held = false}, methods = {.held = false};
    Pieces pieces = {.count = 0};
    if (!PyArg_ParseTuple(args, "y*OOOO:count", &wanted, &seconds_from, &amounts_from, &methods_from, &strings_from)) {
        return NULL;
    }
    bool done = false;
    if (is_free(self) && column_get(seconds_from, 'q', &seconds) && column_get(amounts_from, 'q', &amounts) &&
        column_get(methods_from, 'B', &methods) && column_own(&methods) && methods_known(self, &methods) &&
        pieces_get(strings_from, seconds.count, &pieces)) {
        RecountEvents events = {seconds.data, amounts.data, methods.data, pieces.columns, seconds.count};
        if (amounts.count != events.count || methods.count != events.count || pieces.count < self->strings_count ||
            (size_t)wanted.len != self->reports_count) {
            value_error("columns are missing, or differ in length");
        } else {
            done = count_borrowed(self, &wanted, &events);
        }
    }
    pieces_release(&pieces);
    column_release(&methods);
    column_release(&amounts);
    column_release(&seconds);
    PyBuffer_Release(&wanted);
    return done ? Py_NewRef(Py_None) : NULL;
}

static bool add_borrowed(TallyObject *self, int side, size_t report, const Pieces *pieces, const Column *totals) {
    Status status;
    self->busy = true;
    UNLOCKED_IF(totals[0].count > 1024,
                status = tally_add(&self->tally, side, (uint32_t)report, pieces->columns, pieces->count, totals[0].count,
                                   totals[0].data, totals[1].data, totals[2].data));
    self->busy = false;
    return status == DONE || PyErr_NoMemory() != NULL;
}

static PyObject *tally_add_rows(PyObject *object, PyObject *args) {
    TallyObject *self = (TallyObject *)object;
    PyObject *pieces_from, *from[3];
    Column totals[3] = {{.held = false}, {.held = false}, {.held = false}};
    Pieces pieces = {.count = 0};
    int side;
    Py_ssize_t report;
    if (!PyArg_ParseTuple(args, "inOOOO:add", &side, &report, &pieces_from, &from[0], &from[1], &from[2])) {
        return NULL;
    }
    bool done = false;
    if (side < 0 || side > 1 || report < 0 || (size_t)report >= self->reports_count) {
        value_error("there is no such side or report");
    } else if (is_free(self) && column_get(from[0], 'Q', &totals[0]) && column_get(from[1], 'Q', &totals[1]) &&
               column_get(from[2], 'Q', &totals[2]) && pieces_get(pieces_from, totals[0].count, &pieces)) {
        if (totals[1].count != totals[0].count || totals[2].count != totals[0].count) {
            value_error("columns differ in length");
        } else {
            done = add_borrowed(self, side, (size_t)report, &pieces, totals);
        }
    }
    pieces_release(&pieces);
    for (int i = 0; i < 3; i++) {
        column_release(&totals[i]);
    }
    return done ? Py_NewRef(Py_None) : NULL;
}

static PyObject *tally_size(PyObject *object, PyObject *Py_UNUSED(none)) {
    const TallyObject *self = (TallyObject *)object;
    const Tally *tally = &self->tally;
    return is_free(self) ? PyLong_FromSize_t(tally->used + (tally->slots_mask + 1) * sizeof *tally->slots) : NULL;
}

/* Bytes of each of some sizes, and where they are to be written; NULL with an error. */
static PyObject *list_of_bytes(const size_t *sizes, char **outs, Py_ssize_t count) {
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
        PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)sizes[i]);
        if (bytes == NULL || PyList_SetItem(list, i, bytes) < 0) {
            Py_CLEAR(list);
        } else {
            outs[i] = PyBytes_AsString(bytes);
        }
    }
    return list;
}

static PyObject *tally_take(PyObject *object, PyObject *args) {
    TallyObject *self = (TallyObject *)object;
    Py_ssize_t parts;
    int level;
    size_t sizes[PARTS_MAX];
    char *outs[PARTS_MAX];
    if (!PyArg_ParseTuple(args, "ni:take", &parts, &level) || !is_free(self)) {
        return NULL;
    }
    if (parts < 1 || parts > PARTS_MAX) {
        return value_error("there are too many parts, or none");
    }
    tally_measure(&self->tally, (size_t)parts, level, sizes);
    PyObject *list = list_of_bytes(sizes, outs, parts);
    if (list != NULL) {
        tally_write(&self->tally, (size_t)parts, level, outs);
        tally_clear(&self->tally);
    }
    return list;
}

static PyObject *tally_load_records(PyObject *object, PyObject *args) {
    TallyObject *self = (TallyObject *)object;
    const char *records;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "y#:load", &records, &size) || !is_free(self)) {
        return NULL;
    }
    Status status;
    self->busy = true;
    UNLOCKED_IF(size > LOCKED_BYTES_MAX, status = tally_load(&self->tally, self->reports_count, records, (size_t)size));
    self->busy = false;
    return status == DONE        ? Py_NewRef(Py_None)
           : status == NO_MEMORY ? PyErr_NoMemory()
                                 : value_error("these are no records of a tally");
}

/* The amount of a total as a whole number. */
static PyObject *amount_of(const Total *total) {
    PyObject *low = PyLong_FromUnsignedLongLong(total->low), *width = PyLong_FromLong(64);
    PyObject *high = PyLong_FromLongLong((long long)total->high);
    PyObject *shifted = high == NULL || width == NULL ? NULL : PyNumber_Lshift(high, width);
    PyObject *amount = low == NULL || shifted == NULL ? NULL : PyNumber_Or(shifted, low);
    Py_XDECREF(low);
    Py_XDECREF(width);
    Py_XDECREF(high);
    Py_XDECREF(shifted);
    return amount;
}

/* (report, text, events recounted, their amount, events stored, their amount) */
static PyObject *counted_new(const Counted *counted) {
    const Total *one = &counted->totals[TALLY_RECOUNTED], *other = &counted->totals[TALLY_STORED];
    PyObject *text = PyUnicode_DecodeUTF8(counted->text, (Py_ssize_t)counted->size, "replace");
    PyObject *recounted = amount_of(one), *stored = amount_of(other);
    if (text == NULL || recounted == NULL || stored == NULL) {
        Py_XDECREF(text);
        Py_XDECREF(recounted);
        Py_XDECREF(stored);
        return NULL;
    }
    return Py_BuildValue("(INKNKN)", (unsigned)counted->report, text, (unsigned long long)one->events, recounted,
                         (unsigned long long)other->events, stored);
}

static PyObject *tally_differences(PyObject *object, PyObject *args) {
    TallyObject *self = (TallyObject *)object;
    const uint8_t *amounts;
    Py_ssize_t amounts_size, most;
    if (!PyArg_ParseTuple(args, "y#n:differing", &amounts, &amounts_size, &most) || !is_free(self)) {
        return NULL;
    }
    if ((size_t)amounts_size != self->reports_count || most < 0) {
        return value_error("a byte for each report, and how many at most, are wanted");
    }
    Counted **found;
    size_t datapoints, count;
    if (tally_differing(&self->tally, amounts, &datapoints, &found, &count) != DONE) {
        return PyErr_NoMemory();
    }
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count && i < (size_t)most; i++) {
        PyObject *counted = counted_new(found[i]);
        if (counted == NULL || PyList_Append(list, counted) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(counted);
    }
    free(found);
    return list == NULL ? NULL : Py_BuildValue("(KKN)", (unsigned long long)datapoints, (unsigned long long)count, list);
}

static PyMethodDef tally_methods[] = {
    {"add", tally_add_rows, METH_VARARGS, NULL},
    {"count", tally_count_events, METH_VARARGS, NULL},
    {"differing", tally_differences, METH_VARARGS, NULL},
    {"load", tally_load_records, METH_VARARGS, NULL},
    {"size", tally_size, METH_NOARGS, NULL},
    {"take", tally_take, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot tally_slots[] = {
    {Py_tp_doc, "Two counts of each datapoint, by its text; see tillroll.core.recount."},
    {Py_tp_new, tally_new},
    {Py_tp_dealloc, tally_dealloc},
    {Py_tp_methods, tally_methods},
    {0, NULL},
};

PyType_Spec tally_spec = {
    .name = "tillroll._kernel.Tally",
    .basicsize = sizeof(TallyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = tally_slots,
};
