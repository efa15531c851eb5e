/* The parser as an object that keeps its memory from call to call. */
#include "bindings.h"

#include <stdlib.h>

typedef struct {
    Owned owned;
    Parser parser;
    bool busy;
} ParserObject;

static PyObject *parser_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    ParserObject *self = (ParserObject *)owned_new(type, args, kwargs);
    if (self != NULL) {
        parser_init(&self->parser, self->owned.state->seed);
    }
    return (PyObject *)self;
}

static void parser_dealloc(PyObject *object) {
    parser_free(&((ParserObject *)object)->parser);
    owned_free(object);
}

/* The names of a batch as a string column. */
static void names_column(State *state, const Names *names, PyObject **ends_out, PyObject **heap_out) {
    PyObject *heap = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)names_size(names));
    uint32_t *ends = malloc(names->batch_count * sizeof *ends + 8);
    if (heap != NULL && ends != NULL) {
        names_write(names, ends, PyBytes_AsString(heap));
    }
    *ends_out = array_take(state, CODE_I, ends, names->batch_count);
    *heap_out = heap;
}

/* How far the last place that was looked at was read. */
typedef struct {
    size_t bytes;
    uint64_t next; /* the position after it */
} Reach;

/* The kept fields: for each None where it is absent throughout, else its indexes, its values as a string column, and the
 * events whose value could not be kept. */
static PyObject *parser_kept(ParserObject *self) {
    const Keep *keep = &self->parser.keep;
    PyObject *kept = PyTuple_New((Py_ssize_t)keep->fields_count);
    for (size_t i = 0; kept != NULL && i < keep->fields_count; i++) {
        const KeptField *field = &keep->fields[i];
        PyObject *each = Py_None;
        if (field->filled == 0) {
            Py_INCREF(each);
        } else {
            PyObject *ends, *heap;
            names_column(self->owned.state, &field->names, &ends, &heap);
            PyObject *parts[] = {
                array_new(self->owned.state, CODE_I, field->indexes, field->filled),
                ends,
                heap,
                array_new(self->owned.state, CODE_I, field->unkept, field->unkept_count),
            };
            each = tuple_take(parts, sizeof parts / sizeof *parts);
        }
        if (each == NULL || PyTuple_SetItem(kept, (Py_ssize_t)i, each) < 0) {
            Py_DECREF(kept);
            return NULL;
        }
    }
    return kept;
}

static PyObject *parser_result(ParserObject *self, const uint64_t *counts, size_t texts, const Reach *reach) {
    const Parser *parser = &self->parser;
    State *state = self->owned.state;
    size_t count = parser->count;
    PyObject *name_ends, *name_heap;
    names_column(state, &parser->names, &name_ends, &name_heap);
    PyObject *parts[] = {
        array_new(state, CODE_q, parser->seconds, count),
        array_new(state, CODE_I, parser->nanos, count),
        array_new(state, CODE_q, parser->amounts, count),
        array_new(state, CODE_B, parser->methods, count),
        array_new(state, CODE_I, parser->merchants, count),
        name_ends,
        name_heap,
        array_new(state, CODE_Q, parser->positions, count),
        array_new(state, CODE_I, parser->id_ends, parser->ids_used == 0 ? 0 : count),
        PyBytes_FromStringAndSize(parser->ids, (Py_ssize_t)parser->ids_used),
        array_new(state, CODE_Q, counts, texts),
        array_new(state, CODE_Q, parser->fallback, parser->fallback_count * (sizeof(Fallback) / 8)),
        PyLong_FromSize_t(reach->bytes),
        PyLong_FromUnsignedLongLong(reach->next),
        parser_kept(self),
        PyBool_FromLong(parser->plain),
    };
    return tuple_take(parts, sizeof parts / sizeof *parts);
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

/* Where in the texts the events are: of which text, from where to where, and the position of the first. */
typedef struct {
    Column texts, firsts, starts, ends;
    Py_buffer single;
} Spans; /* the columns are owned: they are checked, and relied on without the lock */

static uint64_t number(const Column *column, size_t index) { return ((const uint64_t *)column->data)[index]; }

static void spans_release(Spans *spans) {
    column_release(&spans->texts);
    column_release(&spans->firsts);
    column_release(&spans->starts);
    column_release(&spans->ends);
}

static bool spans_get(PyObject *const from[4], Spans *spans) {
    Column *columns[] = {&spans->texts, &spans->firsts, &spans->starts, &spans->ends};
    for (int i = 0; i < 4; i++) {
        columns[i]->held = false;
    }
    for (int i = 0; i < 4; i++) {
        if (!column_get(from[i], 'Q', columns[i]) || !column_own(columns[i])) {
            spans_release(spans);
            return false;
        }
    }
    return true;
}

static bool spans_valid(const Spans *spans, const Texts *texts) {
    size_t count = spans->texts.count;
    bool valid = spans->firsts.count == count && spans->starts.count == count && spans->ends.count == count &&
                 (size_t)spans->single.len == count;
    for (size_t i = 0; valid && i < count; i++) {
        uint64_t text = number(&spans->texts, i), start = number(&spans->starts, i), end = number(&spans->ends, i);
        valid = text < texts->count && start <= end && end <= (uint64_t)texts->views[text].len;
    }
    return valid;
}

static Status parse_spans(Parser *parser, const Texts *texts, const Spans *spans, uint64_t *counts, Reach *reach) {
    const char *single = spans->single.buf;
    for (size_t i = 0; i < spans->texts.count; i++) {
        uint64_t text = number(&spans->texts, i), start = number(&spans->starts, i);
        size_t before = parser->count, fallback = parser->fallback_count;
        *reach = (Reach){number(&spans->ends, i) - start, number(&spans->firsts, i)};
        const char *bytes = (const char *)texts->views[text].buf + start;
        Status status = parser_add(parser, text, bytes, &reach->bytes, &reach->next, single[i] != 0);
        if (status != DONE) {
            return status;
        }
        for (; fallback < parser->fallback_count; fallback++) {
            parser->fallback[fallback].start += start;
            parser->fallback[fallback].end += start;
        }
        counts[text] += parser->count - before;
    }
    return parser_end(parser);
}

static PyObject *parse_held(ParserObject *self, const Texts *texts, const Spans *spans) {
    if (!spans_valid(spans, texts)) {
        return value_error("columns differ in length, or point outside of their text");
    }
    uint64_t *counts = calloc(texts->count + 1, sizeof *counts);
    if (counts == NULL) {
        return PyErr_NoMemory();
    }
    Parser *parser = &self->parser;
    Reach reach = {0};
    Status status;
    parser_begin(parser);
    UNLOCKED_IF(texts->bytes > LOCKED_BYTES_MAX, status = parse_spans(parser, texts, spans, counts, &reach));
    PyObject *result = status == DONE ? parser_result(self, counts, texts->count, &reach) : PyErr_NoMemory();
    parser_trim(parser);
    free(counts);
    return result;
}

static PyObject *parser_parse(PyObject *object, PyObject *args) {
    ParserObject *self = (ParserObject *)object;
    PyObject *from, *columns[4], *result = NULL;
    long long latest;
    Py_ssize_t fallback_stop;
    Texts texts;
    Spans spans;
    if (!PyArg_ParseTuple(args, "OOOOOy*Ln:parse", &from, &columns[0], &columns[1], &columns[2], &columns[3],
                          &spans.single, &latest, &fallback_stop)) {
        return NULL;
    }
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "this parser is at work in another thread");
    } else if (texts_get(from, &texts)) {
        if (spans_get(columns, &spans)) {
            self->busy = true;
            self->parser.latest = latest;
            self->parser.fallback_stop = (size_t)fallback_stop;
            result = parse_held(self, &texts, &spans);
            self->busy = false;
            spans_release(&spans);
        }
        texts_release(&texts);
    }
    PyBuffer_Release(&spans.single);
    return result;
}

/* Read (parent, name, field) of a node; the name is borrowed from the tuple. */
static bool keep_name(PyObject *from, size_t before, size_t fields, KeepName *name) {
    unsigned long parent;
    Py_ssize_t length;
    int field;
    if (!PyTuple_Check(from) || !PyArg_ParseTuple(from, "ky#i:keep", &parent, &name->name, &length, &field)) {
        return false;
    }
    if (parent > before || field < -1 || field >= (int)fields || length > NAME_CHARACTERS_MAX * 4) {
        value_error("a name of a field to be kept is out of range");
        return false;
    }
    name->parent = (uint32_t)parent;
    name->field = field;
    name->length = (size_t)length;
    return true;
}

static PyObject *parser_keep(PyObject *object, PyObject *args) {
    ParserObject *self = (ParserObject *)object;
    PyObject *from;
    Py_ssize_t fields;
    if (!PyArg_ParseTuple(args, "O!n:keep", &PyTuple_Type, &from, &fields)) {
        return NULL;
    }
    Py_ssize_t count = PyTuple_Size(from);
    if (self->busy || self->parser.keep.fields_count != 0 || fields < 1 || fields > UINT16_MAX || count > UINT16_MAX) {
        return value_error("a parser is told once what to keep, and no more than 65,535 fields");
    }
    KeepName *names = calloc((size_t)count + 1, sizeof *names);
    if (names == NULL) {
        return PyErr_NoMemory();
    }
    bool valid = true;
    for (Py_ssize_t i = 0; valid && i < count; i++) {
        valid = keep_name(PyTuple_GetItem(from, i), (size_t)i, (size_t)fields, &names[i]);
    }
    Status status = DONE;
    if (valid) {
        status = keep_init(&self->parser.keep, self->owned.state->seed, names, (size_t)count, (size_t)fields);
    }
    free(names);
    if (status != DONE) {
        return PyErr_NoMemory();
    }
    if (!valid) {
        return NULL;
    }
    Py_INCREF(Py_None);
    return Py_None;
}

static PyMethodDef parser_methods[] = {
    {"keep", parser_keep, METH_VARARGS, "Keep fields, before anything is parsed; see _kernel.pyi."},
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

PyType_Spec parser_spec = {
    .name = "tillroll._kernel.Parser",
    .basicsize = sizeof(ParserObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = parser_slots,
};
