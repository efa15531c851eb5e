/* tillroll._kernel: the kernel in native/ as a Python module, for the stable ABI of Python 3.11 and newer.
 *
 * Each function is a twin of the one in tillroll.core.columns, or core.body, where it is described. Columns come in by the buffer
 * protocol and go out as array.array; heavy loops run without Python's lock.
 */
#include "../../native/python/bindings.h"

static PyMethodDef functions[] = {
    {"add_counts", py_add_counts, METH_VARARGS, NULL},
    {"bounds", py_bounds, METH_O, NULL},
    {"bucketize", py_bucketize, METH_VARARGS, NULL},
    {"gaps_of", py_gaps_of, METH_VARARGS, NULL},
    {"group", py_group, METH_VARARGS, NULL},
    {"hash_ids", py_hash_ids, METH_VARARGS, NULL},
    {"hash_name", py_hash_name, METH_VARARGS, NULL},
    {"indexes_of", py_indexes_of, METH_O, NULL},
    {"interleave", py_interleave, METH_VARARGS, NULL},
    {"join_strings", py_join_strings, METH_O, NULL},
    {"keep_memory", py_keep_memory, METH_NOARGS, NULL},
    {"largest", py_largest, METH_O, NULL},
    {"measure_counts", py_measure_counts, METH_VARARGS, NULL},
    {"name_rows", py_name_rows, METH_VARARGS, NULL},
    {"narrow", py_narrow, METH_VARARGS, NULL},
    {"not_empty", py_not_empty, METH_O, NULL},
    {"pack_strings", py_pack_strings, METH_VARARGS, NULL},
    {"part", py_part, METH_VARARGS, NULL},
    {"pick", py_pick, METH_VARARGS, NULL},
    {"pick_strings", py_pick_strings, METH_VARARGS, NULL},
    {"positions_of", py_positions_of, METH_VARARGS, NULL},
    {"read_counts", py_read_counts, METH_VARARGS, NULL},
    {"renumber", py_renumber, METH_VARARGS, NULL},
    {"shuffle", py_shuffle, METH_VARARGS, NULL},
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
    PyObject *contract = Py_BuildValue("(iLii)", METHODS, AMOUNT_MAX, NAME_CHARACTERS_MAX, LINE_BYTES_MAX);
    int added = contract == NULL ? -1 : PyModule_AddObjectRef(module, "CONTRACT", contract);
    Py_XDECREF(contract);
    if (added < 0 || state->array == NULL || state->frombytes == NULL) {
        return -1;
    }
    state->dictionary = (PyTypeObject *)Py_XNewRef((PyObject *)add_type(module, "Dictionary", &dictionary_spec));
    bool all = state->dictionary != NULL && add_type(module, "Parser", &parser_spec) != NULL &&
               add_type(module, "Selection", &selection_spec) != NULL;
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
