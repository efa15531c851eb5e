/* tillroll._kernel: the kernel in native/ as a Python module, for the stable ABI of Python 3.11 and newer.
 *
 * Each function is a twin of the one in tillroll.core.columns, or core.body, where it is described. Columns come in by the buffer
 * protocol and go out as array.array; heavy loops run without Python's lock.
 */
#include "../../native/python/bindings.h"

static PyMethodDef functions[] = {
    {"accepts", py_accepts, METH_VARARGS, NULL},
    {"add_counts", py_add_counts, METH_VARARGS, NULL},
    {"bounds", py_bounds, METH_O, NULL},
    {"bucketize", py_bucketize, METH_VARARGS, NULL},
    {"equal_at", py_equal_at, METH_VARARGS, NULL},
    {"equal_strings_at", py_equal_strings_at, METH_VARARGS, NULL},
    {"gaps_of", py_gaps_of, METH_VARARGS, NULL},
    {"group", py_group, METH_VARARGS, NULL},
    {"hash_name", py_hash_name, METH_VARARGS, NULL},
    {"indexes_of", py_indexes_of, METH_O, NULL},
    {"interleave", py_interleave, METH_VARARGS, NULL},
    {"intersect", py_intersect, METH_VARARGS, NULL},
    {"join_strings", py_join_strings, METH_O, NULL},
    {"keep_memory", py_keep_memory, METH_NOARGS, NULL},
    {"largest", py_largest, METH_O, NULL},
    {"may_have_more", py_may_have_more, METH_VARARGS, NULL},
    {"may_have_names", py_may_have_names, METH_O, NULL},
    {"name_rows", py_name_rows, METH_VARARGS, NULL},
    {"name_texts", py_name_texts, METH_VARARGS, NULL},
    {"names_in_lines", py_names_in_lines, METH_VARARGS, NULL},
    {"narrow", py_narrow, METH_VARARGS, NULL},
    {"pack_strings", py_pack_strings, METH_VARARGS, NULL},
    {"part", py_part, METH_VARARGS, NULL},
    {"pick", py_pick, METH_VARARGS, NULL},
    {"pick_strings", py_pick_strings, METH_VARARGS, NULL},
    {"place", py_place, METH_VARARGS, NULL},
    {"positions_of", py_positions_of, METH_VARARGS, NULL},
    {"quote", py_quote, METH_VARARGS, NULL},
    {"read_counts", py_read_counts, METH_VARARGS, NULL},
    {"renumber", py_renumber, METH_VARARGS, NULL},
    {"same_slots", py_same_slots, METH_O, NULL},
    {"shift", py_shift, METH_VARARGS, NULL},
    {"shuffle", py_shuffle, METH_VARARGS, NULL},
    {"sources_of_names", py_sources_of_names, METH_VARARGS, NULL},
    {"split_strings", py_split_strings, METH_VARARGS, NULL},
    {"sum_counts", py_sum_counts, METH_VARARGS, NULL},
    {"unpack_strings", py_unpack_strings, METH_VARARGS, NULL},
    {"unshuffle", py_unshuffle, METH_VARARGS, NULL},
    {"widen", py_widen, METH_VARARGS, NULL},
    {"windows", py_windows, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* The type, borrowed from the module; NULL with an error. */
static PyTypeObject *add_type(PyObject *module, const char *name, PyType_Spec *spec) {
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int added = PyModule_AddObjectRef(module, name, type);
    Py_XDECREF(type);
    return added < 0 ? NULL : (PyTypeObject *)type;
}

/* A secret for this module's hash tables, from the system: Python's own is known where PYTHONHASHSEED is set. */
static bool draw_seed(uint64_t *seed) {
    PyObject *os = PyImport_ImportModule("os");
    PyObject *drawn = os == NULL ? NULL : PyObject_CallMethod(os, "urandom", "i", (int)sizeof *seed);
    const char *bytes = drawn == NULL ? NULL : PyBytes_AsString(drawn);
    if (bytes != NULL) {
        memcpy(seed, bytes, sizeof *seed);
    }
    Py_XDECREF(drawn);
    Py_XDECREF(os);
    return bytes != NULL;
}

static int module_exec(PyObject *module) {
    State *state = PyModule_GetState(module);
    PyObject *arrays = PyImport_ImportModule("array");
    if (arrays == NULL || !draw_seed(&state->seed)) {
        Py_XDECREF(arrays);
        return -1;
    }
    state->array = PyObject_GetAttrString(arrays, "array");
    state->frombytes = PyUnicode_InternFromString("frombytes");
    Py_DECREF(arrays);
    for (int code = 0; code < 4; code++) {
        const char letter[2] = {code_letter[code], 0};
        state->codes[code] = PyUnicode_InternFromString(letter);
    }
    PyObject *contract = Py_BuildValue("(iLii)", METHODS, AMOUNT_MAX, NAME_CHARACTERS_MAX, LINE_BYTES_MAX);
    int added = contract == NULL ? -1 : PyModule_AddObjectRef(module, "CONTRACT", contract);
    Py_XDECREF(contract);
    if (added < 0 || state->array == NULL || state->frombytes == NULL) {
        return -1;
    }
    state->dictionary = (PyTypeObject *)Py_XNewRef((PyObject *)add_type(module, "Dictionary", &dictionary_spec));
    bool all = state->dictionary != NULL && add_type(module, "Parser", &parser_spec) != NULL &&
               add_type(module, "Rows", &rows_spec) != NULL && add_type(module, "Selection", &selection_spec) != NULL &&
               add_type(module, "Tally", &tally_spec) != NULL;
    return all ? 0 : -1;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    State *state = PyModule_GetState(module);
    Py_VISIT(state->array);
    Py_VISIT(state->dictionary);
    return 0;
}

static int module_clear(PyObject *module) {
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->array);
    Py_CLEAR(state->dictionary);
    Py_CLEAR(state->frombytes);
    for (int code = 0; code < 4; code++) {
        Py_CLEAR(state->codes[code]);
    }
    return 0;
}

static PyModuleDef_Slot module_slots[4] = {{Py_mod_exec, module_exec}}; /* more come in PyInit__kernel */

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

/* What newer Pythons want to be told and Python 3.11 refuses: that each interpreter may have a lock of its own, since all
 * state is the module's; and that the lock is needed, since whoever holds an object of ours holds it. */
PyMODINIT_FUNC PyInit__kernel(void) {
    enum { MULTIPLE_INTERPRETERS = 3, GIL = 4 }; /* Py_mod_..., which the headers of the stable ABI of 3.11 hide */
    int count = 1;
    if (Py_Version >= 0x030C0000) {
        module_slots[count++] = (PyModuleDef_Slot){MULTIPLE_INTERPRETERS, (void *)2}; /* Py_MOD_PER_INTERPRETER_GIL_SUPPORTED */
    }
    if (Py_Version >= 0x030D0000) {
        module_slots[count] = (PyModuleDef_Slot){GIL, (void *)0}; /* Py_MOD_GIL_USED */
    }
    return PyModuleDef_Init(&definition);
}
