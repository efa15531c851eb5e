/* The parser as an object that keeps its memory from call to call. */
#include "bindings.h"

#include <stdlib.h>

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

/* How far the last text that was looked at was read. */
typedef struct {
    size_t bytes;
    uint64_t next; /* the position after it */
} Reach;

static PyObject *parser_result(ParserObject *self, const uint64_t *counts, size_t texts, const Reach *reach) {
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
        PyLong_FromSize_t(reach->bytes),
        PyLong_FromUnsignedLongLong(reach->next),
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

static Status parse_texts(Parser *parser, const Texts *texts, const uint64_t *firsts, const char *whole, uint64_t *counts,
                          Reach *reach) {
    for (size_t i = 0; i < texts->count; i++) {
        const Py_buffer *view = &texts->views[i];
        size_t before = parser->count;
        *reach = (Reach){(size_t)view->len, firsts[i]};
        Status status = parser_add(parser, i, view->buf, &reach->bytes, &reach->next, whole[i] != 0);
        if (status != DONE) {
            return status;
        }
        counts[i] = parser->count - before;
    }
    parser_end(parser);
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
    Reach reach = {0};
    Status status;
    parser_begin(parser);
    if (names_begin(&parser->names)) {
        forget_names(self);
    }
    UNLOCKED_IF(texts->bytes > LOCKED_BYTES_MAX,
                status = parse_texts(parser, texts, firsts->view.buf, whole->buf, counts, &reach));
    PyObject *result = status == DONE ? parser_result(self, counts, texts->count, &reach) : PyErr_NoMemory();
    parser_trim(parser);
    free(counts);
    return result;
}

static PyObject *parser_parse(PyObject *object, PyObject *args) {
    ParserObject *self = (ParserObject *)object;
    PyObject *from, *positions, *result = NULL;
    Py_buffer whole;
    long long latest;
    Py_ssize_t unsure_most;
    Texts texts;
    Column firsts;
    if (!PyArg_ParseTuple(args, "OOy*Ln:parse", &from, &positions, &whole, &latest, &unsure_most)) {
        return NULL;
    }
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "this parser is at work in another thread");
    } else if (texts_get(from, &texts)) {
        if (column_get(positions, 'Q', &firsts)) {
            self->busy = true;
            self->parser.latest = latest;
            self->parser.unsure_most = (size_t)unsure_most;
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

PyType_Spec parser_spec = {
    .name = "tillroll._kernel.Parser",
    .basicsize = sizeof(ParserObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = parser_slots,
};
