/* The module objectstreaming._native: its state, types and functions. */
#include "native.h"

#define PLACE(member) offsetof(State, member)
#define REFERENCES (sizeof(State) / sizeof(PyObject *))

State *state_of(PyTypeObject *type) {
    PyObject *module = PyType_GetModuleByDef(type, &module_definition);
    return module == NULL ? NULL : (State *)PyModule_GetState(module);
}

static const struct {
    size_t place;
    const char *text;
} names[] = {
    {PLACE(name_frame), "frame"},
    {PLACE(name_header), "header"},
    {PLACE(name_byte_length), "byte_length"},
    {PLACE(name_byte_order), "byte_order"},
    {PLACE(name_cast), "cast"},
    {PLACE(name_tobytes), "tobytes"},
    {PLACE(name_b), "B"},
    {PLACE(name_look), "_look"},
    {PLACE(name_encode_checked), "_encode_checked"},
    {PLACE(name_codec), "_codec"},
};

static const struct {
    size_t place;
    const char *module, *name;
} imports[] = {
    {PLACE(invalid_length), "objectstreaming.errors", "InvalidLength"},
    {PLACE(frame_too_large), "objectstreaming.errors", "FrameTooLarge"},
    {PLACE(header_too_large), "objectstreaming.errors", "HeaderTooLarge"},
    {PLACE(invalid_header), "objectstreaming.errors", "InvalidHeader"},
    {PLACE(truncated_frame), "objectstreaming.errors", "TruncatedFrame"},
    {PLACE(encode_error), "objectstreaming.errors", "EncodeError"},
    {PLACE(invalid_json), "objectstreaming.strict_json", "InvalidJSON"},
    {PLACE(loads_object), "objectstreaming.strict_json", "loads_object"},
    {PLACE(dumps), "objectstreaming.strict_json", "dumps"},
    {PLACE(check_data_header), "objectstreaming.strict_json", "check_data_header"},
    {PLACE(mapping), "collections.abc", "Mapping"},
    {PLACE(structure), "msgspec", "Struct"},
    {PLACE(msgspec_error), "msgspec", "MsgspecError"},
};

static const struct {
    size_t place;
    PyType_Spec *spec;
    const char *exported; /* under this name, if at all */
} types[] = {
    {PLACE(frame), &Frame_spec, "Frame"},
    {PLACE(decoder), &FrameDecoder_spec, "FrameDecoder"},
    {PLACE(items), &Items_spec, NULL},
    {PLACE(reader), &Reader_spec, "Reader"},
    {PLACE(window_type), &Window_spec, NULL},
    {PLACE(plain_json), &PlainJson_spec, "PlainJson"},
    {PLACE(json_encoder), &JsonEncoder_spec, "JsonEncoder"},
    {PLACE(tal_codec), &TalCodec_spec, "TalCodec"},
    {PLACE(tal_order), &TalOrder_spec, "TalOrder"},
    {PLACE(tal_plain), &TalPlain_spec, "TalPlain"},
    {PLACE(tal_encoder), &TalEncoder_spec, "TalEncoder"},
};

/* Puts a new reference in its place in the state; whether there is one. */
static int keep(State *state, size_t place, PyObject *object) {
    *(PyObject **)((char *)state + place) = object;
    return object != NULL;
}

static PyObject *import_from(const char *module_name, const char *name) {
    PyObject *module = PyImport_ImportModule(module_name), *found;
    if (module == NULL) {
        return NULL;
    }
    found = PyObject_GetAttrString(module, name);
    Py_DECREF(module);
    return found;
}

/* The method of a msgspec.json coder that was made for `type`, or for any if that is NULL. */
static PyObject *msgspec_method(const char *class_name, PyObject *type, const char *method) {
    PyObject *class = import_from("msgspec.json", class_name), *coder = NULL, *found = NULL;
    if (class != NULL) {
        coder = type != NULL ? PyObject_CallOneArg(class, type) : PyObject_CallNoArgs(class);
        Py_DECREF(class);
    }
    if (coder != NULL) {
        found = PyObject_GetAttrString(coder, method);
        Py_DECREF(coder);
    }
    return found;
}

static int add_match_args(State *state) {
    PyObject *match = Py_BuildValue("(ssss)", "header_bytes", "payload", "index", "offset");
    int done = match == NULL ? -1 : PyObject_SetAttrString((PyObject *)state->frame, "__match_args__", match);
    Py_XDECREF(match);
    return done;
}

static int module_exec(PyObject *module) {
    State *state = (State *)PyModule_GetState(module);
    const char *pure = getenv("OBJECTSTREAMING_PURE");
    const int chosen = pure == NULL || *pure == '\0' || strcmp(pure, "0") == 0;
    size_t n;
    for (n = 0; n < Py_ARRAY_LENGTH(names); n++) {
        if (!keep(state, names[n].place, PyUnicode_InternFromString(names[n].text))) {
            return -1;
        }
    }
    for (n = 0; n < Py_ARRAY_LENGTH(imports); n++) {
        if (!keep(state, imports[n].place, import_from(imports[n].module, imports[n].name))) {
            return -1;
        }
    }
    for (n = 0; n < Py_ARRAY_LENGTH(types); n++) {
        PyObject *type = PyType_FromModuleAndSpec(module, types[n].spec, NULL);
        if (!keep(state, types[n].place, type) ||
            (types[n].exported != NULL && PyModule_AddObjectRef(module, types[n].exported, type) < 0)) {
            return -1;
        }
    }
    if (!keep(state, PLACE(encode), msgspec_method("Encoder", NULL, "encode")) ||
        !keep(state, PLACE(decode_any), msgspec_method("Decoder", NULL, "decode")) ||
        !keep(state, PLACE(decode_object), msgspec_method("Decoder", (PyObject *)&PyDict_Type, "decode")) ||
        !keep(state, PLACE(no_items), new_items(state, NULL, NULL))) {
        return -1;
    }
    return add_match_args(state) < 0 || PyModule_AddFunctions(module, encode_methods) < 0 ||
                   PyModule_AddFunctions(module, original_methods) < 0 ||
                   PyModule_AddObjectRef(module, "CHOSEN", chosen ? Py_True : Py_False) < 0
               ? -1
               : 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    PyObject **references = (PyObject **)PyModule_GetState(module);
    size_t n;
    for (n = 0; n < REFERENCES; n++) {
        Py_VISIT(references[n]);
    }
    return 0;
}

static int module_clear(PyObject *module) {
    PyObject **references = (PyObject **)PyModule_GetState(module);
    size_t n;
    for (n = 0; n < REFERENCES; n++) {
        Py_CLEAR(references[n]);
    }
    return 0;
}

static void module_free(void *module) { module_clear((PyObject *)module); }

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_USED}, /* decoders have no lock, and members of a TALAudio are read in place */
#endif
    {0, NULL},
};

struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "objectstreaming._native",
    .m_doc = "The codec's hot paths in C; objectstreaming.frames chooses between them and the Python version.",
    .m_size = sizeof(State),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&module_definition); }
