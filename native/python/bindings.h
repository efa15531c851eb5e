/* Between the kernel and Python: what the parts of tillroll._kernel share. For the stable ABI of Python 3.11 and newer. */
#ifndef TILLROLL_BINDINGS_H
#define TILLROLL_BINDINGS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../kernel.h"

#define LOCKED_BYTES_MAX (64 << 10) /* shorter work is not worth giving the lock away */

typedef struct {
    PyObject *array;         /* the type array.array */
    PyObject *codes[4];      /* "q", "Q", "I", "B" */
    PyObject *frombytes;     /* the method's name */
    PyTypeObject *dictionary;
    uint64_t seed;
} State;

enum { CODE_q, CODE_Q, CODE_I, CODE_B };

extern const int code_width[4];
extern const char code_letter[5];

State *state_of(PyObject *module);

#define UNLOCKED_IF(heavy, work)                                        \
    do {                                                                \
        PyThreadState *saved = (heavy) ? PyEval_SaveThread() : NULL;    \
        work;                                                           \
        if (saved != NULL) {                                            \
            PyEval_RestoreThread(saved);                                \
        }                                                               \
    } while (0)

/* What our objects begin with. */
typedef struct {
    PyObject_HEAD
    State *state;
    PyObject *module; /* keeps the state alive */
} Owned;

PyObject *owned_new(PyTypeObject *type, PyObject *args, PyObject *kwargs); /* zeros after that; takes no arguments */
void owned_free(PyObject *object);

/* A column as it came in. While it is held nobody can resize it, but another thread may write to it whenever the lock is
 * given away. What is checked and then relied on without the lock, such as an index, is therefore owned first. */
typedef struct {
    Py_buffer view;
    const void *data;
    void *copy; /* of the data; NULL while it is the caller's */
    size_t count;
    int width;
    bool is_signed, held;
} Column;

void column_release(Column *column);
/* Borrow a column; `code` asks for one of our codes, 0 takes any integers. False with an error. */
bool column_get(PyObject *from, char code, Column *column);
/* Copy what others may write to, before it is checked. False with an error. */
bool column_own(Column *column);

/* Whether all of a column of code I are below a size. False with an error. */
bool indexes_in(const Column *indexes, size_t size);

/* A string column as it came in. */
typedef struct {
    Column ends;
    Py_buffer heap;
    const char *text; /* the heap's bytes */
    void *copy;
    bool held;
} Strings;

void strings_release(Strings *strings);
bool strings_get(PyObject *ends, PyObject *heap, Strings *strings);
bool strings_own(Strings *strings);

PyObject *array_new(State *state, int code, const void *data, size_t count);
PyObject *array_take(State *state, int code, void *data, size_t count); /* gives the data back to the heap */
PyObject *pair(PyObject *one, PyObject *other);                         /* steals both */
PyObject *tuple_take(PyObject **parts, Py_ssize_t size); /* steals all, of which any may be NULL with an error */
PyObject *wide_new(uint64_t low, uint64_t high);                        /* a number of 128 bits */
PyObject *value_error(const char *problem);                             /* NULL, always */

extern PyType_Spec dictionary_spec, parser_spec, rows_spec, selection_spec, tally_spec;

/* The functions of the module. */
PyObject *py_accepts(PyObject *module, PyObject *args);
PyObject *py_add_counts(PyObject *module, PyObject *args);
PyObject *py_bounds(PyObject *module, PyObject *args);
PyObject *py_bucketize(PyObject *module, PyObject *args);
PyObject *py_equal_at(PyObject *module, PyObject *args);
PyObject *py_equal_strings_at(PyObject *module, PyObject *args);
PyObject *py_gaps_of(PyObject *module, PyObject *args);
PyObject *py_group(PyObject *module, PyObject *args);
PyObject *py_hash_name(PyObject *module, PyObject *args);
PyObject *py_indexes_of(PyObject *module, PyObject *args);
PyObject *py_interleave(PyObject *module, PyObject *args);
PyObject *py_intersect(PyObject *module, PyObject *args);
PyObject *py_join_strings(PyObject *module, PyObject *args);
PyObject *py_keep_memory(PyObject *module, PyObject *none);
PyObject *py_largest(PyObject *module, PyObject *args);
PyObject *py_may_have_names(PyObject *module, PyObject *text);
PyObject *py_name_rows(PyObject *module, PyObject *args);
PyObject *py_name_texts(PyObject *module, PyObject *args);
PyObject *py_names_in_lines(PyObject *module, PyObject *args);
PyObject *py_narrow(PyObject *module, PyObject *args);
PyObject *py_pack_strings(PyObject *module, PyObject *args);
PyObject *py_may_have_more(PyObject *module, PyObject *args);
PyObject *py_part(PyObject *module, PyObject *args);
PyObject *py_pick(PyObject *module, PyObject *args);
PyObject *py_pick_strings(PyObject *module, PyObject *args);
PyObject *py_place(PyObject *module, PyObject *args);
PyObject *py_positions_of(PyObject *module, PyObject *args);
PyObject *py_quote(PyObject *module, PyObject *args);
PyObject *py_read_counts(PyObject *module, PyObject *args);
PyObject *py_renumber(PyObject *module, PyObject *args);
PyObject *py_same_slots(PyObject *module, PyObject *rows);
PyObject *py_shift(PyObject *module, PyObject *args);
PyObject *py_shuffle(PyObject *module, PyObject *args);
PyObject *py_sources_of_names(PyObject *module, PyObject *args);
PyObject *py_split_strings(PyObject *module, PyObject *args);
PyObject *py_sum_counts(PyObject *module, PyObject *args);
PyObject *py_unpack_strings(PyObject *module, PyObject *args);
PyObject *py_unshuffle(PyObject *module, PyObject *args);
PyObject *py_widen(PyObject *module, PyObject *args);
PyObject *py_windows(PyObject *module, PyObject *args);

#endif
