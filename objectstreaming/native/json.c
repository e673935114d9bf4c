/* JSON by msgspec, where that is as strict as strict_json.py; JsonEncoder and PlainJson, the fast paths of coders/json.py. */
#include "native.h"

/* ---------------------------------------------------------------------------------------- what msgspec leaves open */

/* Whether a text has enough brackets to be nested deeper than is allowed. */
static int may_be_deep(const char *text, Py_ssize_t size) {
    Py_ssize_t n, brackets = 0;
    if (size <= 2 * OBJS_MAX_DEPTH) {
        return 0;
    }
    for (n = 0; n < size; n++) {
        brackets += (text[n] | 0x20) == '{'; /* '[' is 0x5b, '{' 0x7b */
    }
    return brackets > OBJS_MAX_DEPTH;
}

static int is_ascii(const char *text, Py_ssize_t size) {
    uint64_t all = 0, word;
    Py_ssize_t n;
    for (n = 0; n + 8 <= size; n += 8) {
        memcpy(&word, text + n, 8);
        all |= word;
    }
    if (size >= 8) { /* the last eight, some of them for the second time */
        memcpy(&word, text + size - 8, 8);
        all |= word;
    } else {
        for (; n < size; n++) {
            all |= (unsigned char)text[n];
        }
    }
    return (all & 0x8080808080808080u) == 0;
}

/* msgspec does not look at the UTF-8 of what it skips. */
int is_plain(const char *text, Py_ssize_t size) {
    PyObject *string;
    if (!is_ascii(text, size)) {
        string = PyUnicode_DecodeUTF8(text, size, NULL);
        if (string == NULL) {
            PyErr_Clear(); /* strict_json reports what is wrong, or runs out of memory too */
            return 0;
        }
        Py_DECREF(string);
    }
    return !may_be_deep(text, size);
}

static int contains_null(const char *text, Py_ssize_t size) {
    const char *end = text + size;
    while (end - text >= 4 && (text = memchr(text + 1, 'u', (size_t)(end - text) - 3)) != NULL) { /* n is frequent */
        if (memcmp(text - 1, "null", 4) == 0) {
            return 1;
        }
    }
    return 0;
}

static int has_string_keys(PyObject *value, int depth);

static int holds_strings(PyObject *value, int depth) {
    return PyUnicode_CheckExact(value) || PyFloat_CheckExact(value) || has_string_keys(value, depth);
}

/* strict_json.has_string_keys; 0 too for what is nested deeper than is allowed. */
static int has_string_keys(PyObject *value, int depth) {
    Py_ssize_t n = 0;
    if (depth > OBJS_MAX_DEPTH) {
        return 0;
    }
    if (PyDict_Check(value)) {
        PyObject *key, *member;
        while (PyDict_Next(value, &n, &key, &member)) {
            if (!PyUnicode_CheckExact(key) || !holds_strings(member, depth + 1)) {
                return 0;
            }
        }
    } else if (PyList_Check(value)) {
        for (; n < PyList_GET_SIZE(value); n++) {
            if (!holds_strings(PyList_GET_ITEM(value, n), depth + 1)) {
                return 0;
            }
        }
    } else if (PyTuple_Check(value)) {
        for (; n < PyTuple_GET_SIZE(value); n++) {
            if (!holds_strings(PyTuple_GET_ITEM(value, n), depth + 1)) {
                return 0;
            }
        }
    }
    return 1;
}

/* msgspec's JSON of a value, if strict_json.dumps would write the same; else NULL, with an error only if it is to be raised. */
static PyObject *encode_plain(State *state, PyObject *value) {
    PyObject *data = PyObject_CallOneArg(state->encode, value);
    if (data == NULL) {
        if (PyErr_ExceptionMatches(PyExc_Exception)) {
            PyErr_Clear(); /* strict_json.dumps has the better message */
        }
    } else if (!PyBytes_CheckExact(data) || contains_null(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)) ||
               may_be_deep(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)) || !has_string_keys(value, 0)) {
        Py_CLEAR(data);
    }
    return data;
}

PyObject *dumps(State *state, PyObject *value) {
    PyObject *data = encode_plain(state, value);
    if (data != NULL || PyErr_Occurred()) {
        return data;
    }
    data = PyObject_CallOneArg(state->dumps, value);
    if (data != NULL && !PyBytes_CheckExact(data)) {
        PyErr_SetString(PyExc_TypeError, "strict_json.dumps gives bytes");
        Py_CLEAR(data);
    }
    return data;
}

PyObject *loads_object(State *state, PyObject *data) {
    if (PyBytes_CheckExact(data) && !may_be_deep(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))) {
        PyObject *object = PyObject_CallOneArg(state->decode_object, data);
        if (object != NULL || !is_refusal(state)) {
            return object;
        }
        PyErr_Clear();
    }
    return PyObject_CallOneArg(state->loads_object, data);
}

/* ------------------------------------------------------------------------------------------------ decoding in place */

/* Shows msgspec a part of a chunk, so that no bytes object is made for it alone. One is kept and used again. */
typedef struct {
    PyObject_HEAD
    Span span; /* with a reference of its own; owner NULL: closed */
} Window;

static int Window_getbuffer(Window *self, Py_buffer *view, int flags) {
    if (self->span.owner == NULL) {
        PyErr_SetString(PyExc_BufferError, "this window is closed");
        view->obj = NULL;
        return -1;
    }
    return PyBuffer_FillInfo(view, (PyObject *)self, (void *)self->span.text, self->span.size, 1, flags);
}

static void Window_dealloc(Window *self) {
    PyTypeObject *type = Py_TYPE(self);
    Py_CLEAR(self->span.owner);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot Window_slots[] = {
    {Py_tp_doc, (void *)"Bytes of a chunk, while they are decoded."},
    {Py_tp_dealloc, Window_dealloc},
    {Py_bf_getbuffer, Window_getbuffer},
    {0, NULL},
};

PyType_Spec Window_spec = {
    .name = "objectstreaming._native.Window",
    .basicsize = sizeof(Window),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Window_slots,
};

static PyObject *decode_copy(PyObject *decode, const Span *span) {
    PyObject *bytes = bytes_of(span), *value;
    if (bytes == NULL) {
        return NULL;
    }
    value = PyObject_CallOneArg(decode, bytes);
    Py_DECREF(bytes);
    return value;
}

/* `decode` called with the bytes of a span. `*keeps`: see decode_both. */
static PyObject *decode_span(State *state, PyObject *decode, const Span *span, int *keeps) {
    Window *window;
    PyObject *value;
    if (span->size == PyBytes_GET_SIZE(span->owner)) {
        return PyObject_CallOneArg(decode, span->owner);
    }
    if (*keeps) {
        return decode_copy(decode, span);
    }
    window = (Window *)state->window; /* taken out: `decode` may come here again */
    state->window = NULL;
    if (window == NULL) {
        window = PyObject_New(Window, state->window_type);
        if (window == NULL) {
            return NULL;
        }
    }
    window->span = *span;
    Py_INCREF(span->owner);
    value = PyObject_CallOneArg(decode, (PyObject *)window);
    if (Py_REFCNT(window) == 1) {
        Py_CLEAR(window->span.owner);
        if (state->window == NULL) {
            state->window = (PyObject *)window;
            return value;
        }
    } else if (value != NULL) { /* a small value must not keep a large chunk alive */
        *keeps = 1;
        Py_SETREF(value, decode_copy(decode, span));
    }
    Py_DECREF(window);
    return value;
}

int decode_both(State *state, PyObject *decode_header, PyObject *decode_payload, int *keeps, const Span *header,
                const Span *payload, PyObject **header_value, PyObject **payload_value) {
    if (!is_plain(header->text, header->size) || !is_plain(payload->text, payload->size)) {
        return 0;
    }
    *header_value = decode_span(state, decode_header, header, keeps);
    if (*header_value != NULL) {
        *payload_value = decode_span(state, decode_payload, payload, keeps);
        if (*payload_value != NULL) {
            return 1;
        }
        Py_CLEAR(*header_value);
    }
    if (!is_refusal(state)) {
        return -1;
    }
    PyErr_Clear();
    return 0;
}

/* ---------------------------------------------------------------------------------------------------------- PlainJson */

PyObject *plain_call(PyObject *plain, PyObject *const *args, size_t flags, PyObject *keywords) {
    State *state = state_of(Py_TYPE(plain));
    PyObject *message = NULL;
    if (state == NULL) {
        return NULL;
    }
    if (PyVectorcall_NARGS(flags) != 2 || (keywords != NULL && PyTuple_GET_SIZE(keywords) > 0)) {
        PyErr_SetString(PyExc_TypeError, "the bytes of a header and of a payload are expected");
        return NULL;
    }
    if (PyBytes_CheckExact(args[0]) && PyBytes_CheckExact(args[1])) {
        const Span header = span_of(args[0]), payload = span_of(args[1]);
        message = ((Plain *)plain)->decode(state, plain, &header, &payload);
    }
    if (message == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return message;
}

PyObject *new_message(PyObject *header, PyObject *payload) {
    PyObject *message = PyTuple_New(2);
    if (message == NULL) {
        Py_DECREF(header);
        Py_DECREF(payload);
        return NULL;
    }
    PyTuple_SET_ITEM(message, 0, header);
    PyTuple_SET_ITEM(message, 1, payload);
    return message;
}

typedef struct {
    Plain plain;
    PyObject *decode_header;
    PyObject *decode_payload;
    int keeps; /* see decode_both */
} PlainJson;

static PyObject *PlainJson_decode(State *state, PyObject *self, const Span *header, const Span *payload) {
    PlainJson *plain = (PlainJson *)self;
    PyObject *header_value, *payload_value;
    const int done = decode_both(state, plain->decode_header, plain->decode_payload, &plain->keeps, header, payload,
                                 &header_value, &payload_value);
    return done > 0 ? new_message(header_value, payload_value) : NULL;
}

static PyObject *PlainJson_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *decode_header, *decode_payload;
    PlainJson *self;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "OO:PlainJson", &decode_header, &decode_payload)) {
        return NULL;
    }
    self = (PlainJson *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->decode_header = Py_NewRef(decode_header);
        self->decode_payload = Py_NewRef(decode_payload);
        self->plain.call = plain_call;
        self->plain.decode = PlainJson_decode;
    }
    return (PyObject *)self;
}

static int PlainJson_traverse(PlainJson *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->decode_header);
    Py_VISIT(self->decode_payload);
    return 0;
}

static int PlainJson_clear(PlainJson *self) {
    Py_CLEAR(self->decode_header);
    Py_CLEAR(self->decode_payload);
    return 0;
}

static void PlainJson_dealloc(PlainJson *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, PlainJson_dealloc)
    PlainJson_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* It never changes, so a deep copy of a coder may share it. */
static PyObject *PlainJson_deepcopy(PyObject *self, PyObject *Py_UNUSED(memo)) { return Py_NewRef(self); }

static PyMethodDef PlainJson_methods[] = {
    {"__deepcopy__", PlainJson_deepcopy, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef PlainJson_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(PlainJson, plain.call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(PlainJson_doc,
             "PlainJson(decode_header, decode_payload)\n"
             "--\n"
             "\n"
             "Called with the bytes of a header and of a payload, it returns `(decode_header(...), decode_payload(...))`, or\n"
             "`None` if msgspec refuses one of them or is not as strict as strict_json. Both are `decode` of a\n"
             "`msgspec.json.Decoder`.\n");

static PyType_Slot PlainJson_slots[] = {
    {Py_tp_doc, (void *)PlainJson_doc},
    {Py_tp_new, PlainJson_new},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_dealloc, PlainJson_dealloc},
    {Py_tp_traverse, PlainJson_traverse},
    {Py_tp_clear, PlainJson_clear},
    {Py_tp_members, PlainJson_members},
    {Py_tp_methods, PlainJson_methods},
    {0, NULL},
};

PyType_Spec PlainJson_spec = {
    .name = "objectstreaming._native.PlainJson",
    .basicsize = sizeof(PlainJson),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = PlainJson_slots,
};

/* -------------------------------------------------------------------------------------------------------- JsonEncoder */

PyObject *call_checked(State *state, PyObject *coder, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    PyObject *checked = PyObject_GetAttr(coder, state->name_encode_checked), *wire = NULL;
    if (checked != NULL) {
        wire = PyObject_Vectorcall(checked, args, (size_t)count, keywords);
        Py_DECREF(checked);
    }
    return wire;
}

/* A frame of two JSON values; NULL without an error if the checked path has to look at them. */
static PyObject *encode_json(State *state, PyObject *header_value, PyObject *payload_value) {
    PyObject *header = encode_plain(state, header_value), *payload = NULL, *wire = NULL;
    char *out;
    if (header != NULL && PyBytes_GET_SIZE(header) > 0 && PyBytes_AS_STRING(header)[0] == '{' &&
        !may_have_stream_member(PyBytes_AS_STRING(header), PyBytes_GET_SIZE(header))) {
        payload = encode_plain(state, payload_value);
    }
    if (payload != NULL) {
        wire = new_wire(NULL, PyBytes_GET_SIZE(header), PyBytes_GET_SIZE(payload), &out);
        if (wire != NULL) {
            out = put(out, PyBytes_AS_STRING(header), PyBytes_GET_SIZE(header));
            put(out, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload));
        }
    }
    Py_XDECREF(header);
    Py_XDECREF(payload);
    return wire;
}

PyDoc_STRVAR(JsonEncoder_encode_doc,
             "encode($self, /, header, payload)\n"
             "--\n"
             "\n"
             "One whole frame. Raises `EncodeError`, and then nothing has changed.\n");

static PyObject *JsonEncoder_encode(PyObject *self, PyTypeObject *defining, PyObject *const *args, Py_ssize_t count,
                                    PyObject *keywords) {
    State *state = (State *)PyType_GetModuleState(defining);
    PyObject *wire = NULL;
    if (count == 2 && keywords == NULL) {
        wire = encode_json(state, args[0], args[1]);
    }
    return wire != NULL || PyErr_Occurred() ? wire : call_checked(state, self, args, count, keywords);
}

static PyMethodDef JsonEncoder_methods[] = {
    {"encode", (PyCFunction)(void (*)(void))JsonEncoder_encode, METH_METHOD | METH_FASTCALL | METH_KEYWORDS,
     JsonEncoder_encode_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot JsonEncoder_slots[] = {
    {Py_tp_doc, (void *)"`encode` of `JsonCoder`, which has `_encode_checked` for what the fast path does not take."},
    {Py_tp_methods, JsonEncoder_methods},
    {0, NULL},
};

PyType_Spec JsonEncoder_spec = {
    .name = "objectstreaming._native.JsonEncoder",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = JsonEncoder_slots,
};

