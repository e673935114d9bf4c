/* The C twin of what every frame goes through: Frame, FrameDecoder, encode_frame, encode_frame_parts of frames.py, the
 * Reader and is_ordinary of protocol.py, the JsonEncoder and the plain decoder of coders/json.py.
 *
 * Same names, behaviour, errors, messages, indexes and offsets as in Python; tests/codec/test_native.py holds one against the
 * other, and every other test runs on both. What a length word may be is decided by the checks of
 * clients/c/objectstreaming.h, the C client's own: there is one C parser in the project.
 *
 * **The decoder.** Frames that lie in one chunk are cut straight from it. Of a frame that straddles chunks, the chunks are
 * kept, small ones gathered in a buffer that at most doubles, until they are written once into its payload; nothing is
 * allocated by what a length word claims. A chunk that completes nothing is taken in by `feed` itself, which then gives
 * the one shared empty iterator; a chunk whose lengths are wrong is not, so that the error comes from the iteration,
 * where the pure decoder raises it.
 *
 * **The reader.** A plain data frame becomes a message without a Frame, and where its coder's plain decoder is the json
 * one, without bytes objects: msgspec is shown its place in the chunk. Every other frame is shown to `_look`.
 *
 * **Who may call in between.** Python code can run where something is decoded, where an error is made, and where a
 * collector may start, at the making of an iterator, which is the last thing `feed` does; in all these places the
 * decoder's state is whole, and what was cut is held. Frames are not tracked by the collector, as the pure ones are not,
 * so that making one runs no Python.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "../clients/c/objectstreaming.h"

typedef struct {
    PyTypeObject *frame;
    PyTypeObject *decoder;
    PyTypeObject *frames;
    PyTypeObject *messages;
    PyTypeObject *reader;
    PyTypeObject *plain_json;
    PyTypeObject *json_encoder;
    PyTypeObject *window_type;
    PyObject *window; /* one that is not in use; or NULL */
    PyObject *nothing; /* the shared empty iterator */
    PyObject *invalid_length;
    PyObject *frame_too_large;
    PyObject *header_too_large;
    PyObject *invalid_header;
    PyObject *truncated_frame;
    PyObject *encode_error;
    PyObject *invalid_json;
    PyObject *loads_object;
    PyObject *decode_object; /* msgspec's own, of any object: it reads every string, so it is as strict of UTF-8 */
    PyObject *dumps;
    PyObject *encode; /* msgspec's own: what it writes that is short and holds no null needs no further look */
    PyObject *mapping;
    PyObject *structure; /* msgspec.Struct: no mapping, and asking the ABC would take longer than encoding it */
    PyObject *msgspec_error;
    PyObject *name_frame; /* names that are asked for: a new string each time would fill the types' lookup cache */
    PyObject *name_header;
    PyObject *name_byte_length;
    PyObject *name_byte_order;
    PyObject *name_cast;
    PyObject *name_tobytes;
    PyObject *name_b;
    PyObject *name_look;
    PyObject *name_encode_checked;
} State;

#define REFERENCES (sizeof(State) / sizeof(PyObject *)) /* nothing else is in it */

static struct PyModuleDef module_definition;

static State *state_of(PyTypeObject *type) {
    PyObject *module = PyType_GetModuleByDef(type, &module_definition);
    return module == NULL ? NULL : (State *)PyModule_GetState(module);
}

/* The error that is set, taken away: PyErr_GetRaisedException of 3.12. */
static PyObject *take_error(void) {
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *kind, *value, *traceback;
    PyErr_Fetch(&kind, &value, &traceback);
    PyErr_NormalizeException(&kind, &value, &traceback);
    if (value != NULL && traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(kind);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* Sets it again. Steals it. */
static void give_error(PyObject *error) {
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(error);
#else
    PyErr_Restore(Py_NewRef(Py_TYPE(error)), error, PyException_GetTraceback(error));
#endif
}

/* Raises type(message). Steals message, which may be NULL with an error set. */
static void raise_plain(PyObject *type, PyObject *message) {
    if (message != NULL) {
        PyErr_SetObject(type, message);
        Py_DECREF(message);
    }
}

/* If the error that is set is a `type`: takes it away and returns str() of it; else NULL, and an error is set. */
static PyObject *text_of_caught(PyObject *type) {
    PyObject *error, *text;
    if (!PyErr_ExceptionMatches(type)) {
        return NULL;
    }
    error = take_error();
    text = PyObject_Str(error);
    Py_XDECREF(error);
    return text;
}

/* A FrameError: type(message, index, offset). Steals message, which may be NULL with an error set. */
static PyObject *new_frame_error(PyObject *type, PyObject *message, long long index, long long offset) {
    PyObject *error;
    if (message == NULL) {
        return NULL;
    }
    error = PyObject_CallFunction(type, "OLL", message, index, offset);
    Py_DECREF(message);
    return error;
}

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

/* Whether the error that is set is one of msgspec's own refusals, of which strict_json knows more to say. */
static int is_refusal(State *state) {
    return PyErr_ExceptionMatches(state->msgspec_error) || PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) ||
           PyErr_ExceptionMatches(PyExc_RecursionError);
}

/* strict_json.loads_object, with a short cut for what msgspec reads as strictly. */
static PyObject *loads_object(State *state, PyObject *data) {
    if (PyBytes_CheckExact(data) && !may_be_deep(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))) {
        PyObject *object = PyObject_CallOneArg(state->decode_object, data);
        if (object != NULL || !is_refusal(state)) {
            return object;
        }
        PyErr_Clear();
    }
    return PyObject_CallOneArg(state->loads_object, data);
}

/* Bytes within a bytes object. */
typedef struct {
    PyObject *owner;
    const char *text;
    Py_ssize_t size;
} Span;

static Span span_of(PyObject *bytes) {
    Span span = {bytes, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes)};
    return span;
}

static PyObject *bytes_of(const Span *span) {
    return span->size == PyBytes_GET_SIZE(span->owner) ? Py_NewRef(span->owner)
                                                       : PyBytes_FromStringAndSize(span->text, span->size);
}

/* ------------------------------------------------------------------------------------------------------------ Frame */

typedef struct {
    PyObject_HEAD
    PyObject *header_bytes;
    PyObject *payload;
    PyObject *header; /* NULL until it is asked for */
    long long index;
    long long offset;
} Frame;

PyDoc_STRVAR(Frame_doc,
             "Frame(header_bytes, payload=b'', index=0, offset=0)\n"
             "--\n"
             "\n"
             "One frame: `header_bytes` and `payload` as they were on the wire; `header` parsed on first use and kept.\n"
             "\n"
             "`index` and `offset` tell where the frame stood in its stream (0, 0 for a loose one); two frames are equal if\n"
             "their bytes are. `bytes(frame)` is the frame in the standard layout.\n"
             "\n"
             ">>> frame = Frame(b'{\"a\": 1}', b\"xy\")\n"
             ">>> frame.header, frame.payload, len(bytes(frame))\n"
             "({'a': 1}, b'xy', 18)\n");

/* Steals header_bytes and payload, also when it fails. */
static Frame *new_frame(PyTypeObject *type, PyObject *header_bytes, PyObject *payload, uint64_t index,
                        uint64_t offset) {
    Frame *self = PyObject_New(Frame, type);
    if (self == NULL) {
        Py_DECREF(header_bytes);
        Py_DECREF(payload);
        return NULL;
    }
    self->header_bytes = header_bytes;
    self->payload = payload;
    self->header = NULL;
    self->index = (long long)index;
    self->offset = (long long)offset;
    return self;
}

static PyObject *Frame_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"header_bytes", "payload", "index", "offset", "_header", NULL};
    PyObject *header_bytes, *payload = NULL, *header = Py_None;
    long long index = 0, offset = 0;
    Frame *self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OLLO:Frame", names, &header_bytes, &payload, &index, &offset,
                                     &header)) {
        return NULL;
    }
    self = (Frame *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->header_bytes = Py_NewRef(header_bytes);
    self->payload = payload != NULL ? Py_NewRef(payload) : PyBytes_FromStringAndSize(NULL, 0);
    self->header = header == Py_None ? NULL : Py_NewRef(header);
    self->index = index;
    self->offset = offset;
    return (PyObject *)self;
}

static void Frame_dealloc(Frame *self) {
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->header_bytes);
    Py_XDECREF(self->payload);
    Py_XDECREF(self->header);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *Frame_get_header(Frame *self, void *closure) {
    State *state;
    PyObject *header, *reason, *error;
    (void)closure;
    if (self->header != NULL) {
        return Py_NewRef(self->header);
    }
    state = state_of(Py_TYPE(self));
    if (state == NULL) {
        return NULL;
    }
    header = loads_object(state, self->header_bytes);
    if (header != NULL) {
        Py_XSETREF(self->header, header);
        return Py_NewRef(header);
    }
    reason = text_of_caught(state->invalid_json);
    if (reason == NULL) {
        return NULL;
    }
    error = new_frame_error(state->invalid_header, PyUnicode_FromFormat("the header is not a JSON object: %U", reason),
                            self->index, self->offset);
    Py_DECREF(reason);
    if (error != NULL) {
        PyException_SetCause(error, NULL);
        PyErr_SetObject(state->invalid_header, error);
        Py_DECREF(error);
    }
    return NULL;
}

static PyObject *Frame_bytes(Frame *self, PyObject *Py_UNUSED(ignored)) {
    objs_config standard = objs_default_config();
    Py_buffer header, payload;
    PyObject *wire = NULL;
    if (PyObject_GetBuffer(self->header_bytes, &header, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    if (PyObject_GetBuffer(self->payload, &payload, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&header);
        return NULL;
    }
    if (header.len > PY_SSIZE_T_MAX - 16 - payload.len) {
        PyErr_NoMemory();
    } else {
        uint8_t words[8];
        if (objs_put_lengths(&standard, words, (uint64_t)header.len, (uint64_t)payload.len) != OBJS_OK) {
            PyErr_SetString(PyExc_OverflowError, "a frame does not fit a length word of 4 bytes");
        } else {
            wire = PyBytes_FromStringAndSize(NULL, 8 + header.len + payload.len);
            if (wire != NULL) {
                char *out = PyBytes_AS_STRING(wire);
                memcpy(out, words, 8);
                memcpy(out + 8, header.buf, (size_t)header.len);
                memcpy(out + 8 + header.len, payload.buf, (size_t)payload.len);
            }
        }
    }
    PyBuffer_Release(&header);
    PyBuffer_Release(&payload);
    return wire;
}

static PyObject *Frame_richcompare(Frame *self, PyObject *other, int operation) {
    State *state = state_of(Py_TYPE(self));
    Frame *frame = (Frame *)other;
    int equal;
    if (state == NULL) {
        return NULL;
    }
    if ((operation != Py_EQ && operation != Py_NE) || !PyObject_TypeCheck(other, state->frame)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    equal = PyObject_RichCompareBool(self->header_bytes, frame->header_bytes, Py_EQ);
    if (equal > 0) {
        equal = PyObject_RichCompareBool(self->payload, frame->payload, Py_EQ);
    }
    if (equal < 0) {
        return NULL;
    }
    return PyBool_FromLong(equal == (operation == Py_EQ));
}

static Py_hash_t Frame_hash(Frame *self) {
    PyObject *both = PyTuple_Pack(2, self->header_bytes, self->payload);
    Py_hash_t hash;
    if (both == NULL) {
        return -1;
    }
    hash = PyObject_Hash(both);
    Py_DECREF(both);
    return hash;
}

static PyObject *Frame_repr(Frame *self) {
    return PyUnicode_FromFormat("Frame(%R, %R, index=%lld, offset=%lld)", self->header_bytes, self->payload,
                                self->index, self->offset);
}

/* A line for logs: place, header in brief, payload size. */
static PyObject *Frame_str(Frame *self) {
    Py_buffer header;
    PyObject *brief, *line = NULL;
    Py_ssize_t size = PyObject_Size(self->payload);
    if (size < 0 || PyObject_GetBuffer(self->header_bytes, &header, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    brief = PyUnicode_DecodeUTF8(header.buf, header.len > 80 ? 80 : header.len, "replace");
    if (brief != NULL) {
        line = PyUnicode_FromFormat("frame %lld at byte %lld: %U%s + %zd bytes", self->index, self->offset,
                                    brief, header.len > 80 ? "..." : "", size);
        Py_DECREF(brief);
    }
    PyBuffer_Release(&header);
    return line;
}

static PyObject *Frame_reduce(Frame *self, PyObject *Py_UNUSED(ignored)) {
    return Py_BuildValue("O(OOLL)", Py_TYPE(self), self->header_bytes, self->payload, self->index, self->offset);
}

static PyMemberDef Frame_members[] = {
    {"header_bytes", T_OBJECT_EX, offsetof(Frame, header_bytes), READONLY, NULL},
    {"payload", T_OBJECT_EX, offsetof(Frame, payload), READONLY, NULL},
    {"index", T_LONGLONG, offsetof(Frame, index), READONLY, NULL},
    {"offset", T_LONGLONG, offsetof(Frame, offset), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef Frame_getset[] = {
    {"header", (getter)Frame_get_header, NULL,
     "The header as a dict. Raises `InvalidHeader` if it is not one strict JSON object.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef Frame_methods[] = {
    {"__bytes__", (PyCFunction)Frame_bytes, METH_NOARGS, NULL},
    {"__reduce__", (PyCFunction)Frame_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Frame_slots[] = {
    {Py_tp_doc, (void *)Frame_doc},
    {Py_tp_new, Frame_new},
    {Py_tp_dealloc, Frame_dealloc},
    {Py_tp_richcompare, Frame_richcompare},
    {Py_tp_hash, Frame_hash},
    {Py_tp_repr, Frame_repr},
    {Py_tp_str, Frame_str},
    {Py_tp_members, Frame_members},
    {Py_tp_getset, Frame_getset},
    {Py_tp_methods, Frame_methods},
    {0, NULL},
};

static PyType_Spec Frame_spec = {
    .name = "objectstreaming.frames.Frame",
    .basicsize = sizeof(Frame),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = Frame_slots,
};

/* --------------------------------------------------------------------------------------------------------- encoding */

/* Limits and layouts are read by their attributes, so that a subclass will do as well. */
static int read_layout(State *state, PyObject *layout, objs_config *config) {
    PyObject *length, *order;
    long value;
    int little;
    length = PyObject_GetAttr(layout, state->name_byte_length);
    if (length == NULL) {
        return -1;
    }
    value = PyLong_AsLong(length);
    Py_DECREF(length);
    if (value == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (value < 1 || value > 8) {
        PyErr_Format(PyExc_ValueError, "byte_length is 1 to 8 and byte_order 'little' or 'big', not %R", layout);
        return -1;
    }
    order = PyObject_GetAttr(layout, state->name_byte_order);
    if (order == NULL) {
        return -1;
    }
    little = PyUnicode_Check(order) ? PyUnicode_CompareWithASCIIString(order, "little") == 0 : 0;
    Py_DECREF(order);
    config->byte_length = (unsigned)value;
    config->big_endian = !little;
    return 0;
}

static int contains_null(const char *text, Py_ssize_t size) {
    const char *end = text + size;
    while (end - text >= 4 && (text = memchr(text + 1, 'u', (size_t)(end - text) - 3)) != NULL) { /* n is more frequent */
        if (memcmp(text - 1, "null", 4) == 0) {
            return 1;
        }
    }
    return 0;
}

/* msgspec's JSON of a value, if that is strict_json.dumps's too; else NULL, with an error only if it is to be raised. */
static PyObject *encode_plain(State *state, PyObject *value) {
    PyObject *data = PyObject_CallOneArg(state->encode, value);
    if (data == NULL) {
        if (PyErr_ExceptionMatches(PyExc_Exception)) {
            PyErr_Clear(); /* strict_json.dumps will say it better */
        }
    } else if (!PyBytes_CheckExact(data) || contains_null(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)) ||
               may_be_deep(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))) {
        Py_CLEAR(data);
    }
    return data;
}

/* strict_json.dumps, with a short cut for what msgspec writes as strictly. New reference to bytes. */
static PyObject *dumps(State *state, PyObject *value) {
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

/* JSON bytes given by the caller go out untouched once they have been checked. New reference to bytes. */
static PyObject *checked_header(State *state, PyObject *header) {
    PyObject *data = PyBytes_CheckExact(header) ? Py_NewRef(header)
                                                : PyObject_CallOneArg((PyObject *)&PyBytes_Type, header);
    PyObject *parsed, *reason;
    if (data == NULL) {
        return NULL;
    }
    /* The interpreter refuses integers of more than 4,300 digits, which a shorter text cannot hold. */
    if (PyBytes_GET_SIZE(data) <= 4300 &&
        objs_header_valid((const uint8_t *)PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data))) {
        return data;
    }
    parsed = PyObject_CallOneArg(state->loads_object, data);
    if (parsed != NULL) {
        Py_DECREF(parsed);
        return data;
    }
    Py_DECREF(data);
    reason = text_of_caught(state->invalid_json);
    if (reason != NULL) {
        raise_plain(state->encode_error, PyUnicode_FromFormat("the header is not a JSON object: %U", reason));
        Py_DECREF(reason);
    }
    return NULL;
}

static PyObject *header_to_bytes(State *state, PyObject *header) {
    PyObject *data;
    if (PyDict_CheckExact(header) || PyObject_TypeCheck(header, (PyTypeObject *)state->structure)) {
        data = dumps(state, header);
    } else if (PyBytes_Check(header) || PyByteArray_Check(header) || PyMemoryView_Check(header)) {
        return checked_header(state, header);
    } else {
        int is_mapping = PyObject_IsInstance(header, state->mapping);
        if (is_mapping < 0) {
            return NULL;
        }
        if (is_mapping) {
            PyObject *copy = PyObject_CallOneArg((PyObject *)&PyDict_Type, header);
            if (copy == NULL) {
                return NULL;
            }
            data = dumps(state, copy);
            Py_DECREF(copy);
        } else {
            data = dumps(state, header);
        }
    }
    if (data != NULL && (PyBytes_GET_SIZE(data) == 0 || PyBytes_AS_STRING(data)[0] != '{')) {
        PyObject *beginning = PyBytes_FromStringAndSize(PyBytes_AS_STRING(data), Py_MIN(PyBytes_GET_SIZE(data), 40));
        PyObject *name = PyType_GetName(Py_TYPE(header));
        Py_CLEAR(data);
        if (beginning != NULL && name != NULL) {
            raise_plain(state->encode_error,
                        PyUnicode_FromFormat("a header is a JSON object; a %U is not: %R", name, beginning));
        }
        Py_XDECREF(beginning);
        Py_XDECREF(name);
    }
    return data;
}

static void refuse_payload(State *state, PyObject *payload) {
    PyObject *name = PyType_GetName(Py_TYPE(payload));
    if (name != NULL) {
        raise_plain(state->encode_error,
                    PyUnicode_FromFormat("a payload is bytes, or an array in memory; a %U is neither", name));
        Py_DECREF(name);
    }
}

/* If the error that is set means that there is no buffer to be had: says so as an EncodeError. */
static void explain_payload(State *state, PyObject *payload) {
    if (PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError) ||
        PyErr_ExceptionMatches(PyExc_BufferError)) {
        PyErr_Clear();
        refuse_payload(state, payload);
    }
}

/* An array of Python objects holds addresses, which are nobody's payload. */
static int holds_objects(const Py_buffer *view) { return view->format != NULL && strchr(view->format, 'O') != NULL; }

static int view_payload(State *state, PyObject *payload, Py_buffer *view) {
    if (PyBytes_CheckExact(payload)) {
        return PyObject_GetBuffer(payload, view, PyBUF_SIMPLE);
    }
    if (PyObject_GetBuffer(payload, view, PyBUF_FULL_RO) < 0) {
        explain_payload(state, payload);
        return -1;
    }
    if (holds_objects(view)) {
        PyBuffer_Release(view);
        refuse_payload(state, payload);
        return -1;
    }
    return 0;
}

static void refuse_size(State *state, const objs_config *config, Py_ssize_t header, Py_ssize_t payload) {
    uint64_t total = 2 * (uint64_t)config->byte_length + (uint64_t)header + (uint64_t)payload;
    raise_plain(state->encode_error,
                PyUnicode_FromFormat("a frame of %llu bytes does not fit a length word of %u bytes; "
                                     "send it in pieces, a frame each",
                                     (unsigned long long)total, config->byte_length));
}

/* (header, payload=b"", *, layout): borrowed references; payload NULL if it was not given. */
static int read_encode_arguments(State *state, const char *name, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                                 PyObject **header, PyObject **payload, objs_config *config) {
    Py_ssize_t n;
    *config = objs_default_config();
    *header = count > 0 ? args[0] : NULL;
    *payload = count > 1 ? args[1] : NULL;
    if (count > 2) {
        PyErr_Format(PyExc_TypeError, "%s() takes from 1 to 2 positional arguments but %zd were given", name, count);
        return -1;
    }
    for (n = 0; keywords != NULL && n < PyTuple_GET_SIZE(keywords); n++) {
        PyObject *keyword = PyTuple_GET_ITEM(keywords, n), *value = args[count + n], **place = NULL;
        if (PyUnicode_CompareWithASCIIString(keyword, "layout") == 0) {
            if (value != Py_None && read_layout(state, value, config) < 0) {
                return -1;
            }
            continue;
        }
        if (PyUnicode_CompareWithASCIIString(keyword, "payload") == 0) {
            place = payload;
        } else if (PyUnicode_CompareWithASCIIString(keyword, "header") == 0) {
            place = header;
        }
        if (place == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", name, keyword);
            return -1;
        }
        if (*place != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", name, keyword);
            return -1;
        }
        *place = value;
    }
    if (*header == NULL) {
        PyErr_Format(PyExc_TypeError, "%s() missing 1 required positional argument: 'header'", name);
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(encode_frame_doc,
             "encode_frame($module, header, payload=b'', *, layout=None)\n"
             "--\n"
             "\n"
             "One frame's bytes.\n"
             "\n"
             "`header` is a mapping, a typed object (dataclass, `msgspec.Struct`), or JSON bytes, which go out untouched once\n"
             "they have been checked; `payload` anything with the buffer protocol. Raises `EncodeError`.\n"
             "\n"
             ">>> encode_frame(b'{\"a\": 1}', b'{\"b\": 2}').hex(\" \", 4)\n"
             "'18000000 08000000 7b226122 3a20317d 7b226222 3a20327d'\n");

static PyObject *encode_frame(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    State *state = (State *)PyModule_GetState(module);
    objs_config config;
    PyObject *header, *payload, *data, *wire = NULL;
    Py_buffer view;
    Py_ssize_t size, prefix;
    uint8_t words[16];
    if (read_encode_arguments(state, "encode_frame", args, count, keywords, &header, &payload, &config) < 0) {
        return NULL;
    }
    data = header_to_bytes(state, header);
    if (data == NULL) {
        return NULL;
    }
    view.obj = NULL;
    view.len = 0;
    if (payload != NULL && view_payload(state, payload, &view) < 0) {
        Py_DECREF(data);
        return NULL;
    }
    size = PyBytes_GET_SIZE(data);
    prefix = 2 * (Py_ssize_t)config.byte_length;
    if (objs_put_lengths(&config, words, (uint64_t)size, (uint64_t)view.len) != OBJS_OK) {
        refuse_size(state, &config, size, view.len);
    } else if (view.len > PY_SSIZE_T_MAX - prefix - size) {
        PyErr_NoMemory();
    } else {
        wire = PyBytes_FromStringAndSize(NULL, prefix + size + view.len);
    }
    if (wire != NULL) {
        char *out = PyBytes_AS_STRING(wire);
        memcpy(out, words, (size_t)prefix);
        memcpy(out + prefix, PyBytes_AS_STRING(data), (size_t)size);
        if (view.len == 0) {
        } else if (PyBuffer_IsContiguous(&view, 'C')) {
            memcpy(out + prefix + size, view.buf, (size_t)view.len);
        } else if (PyBuffer_ToContiguous(out + prefix + size, &view, view.len, 'C') < 0) {
            Py_CLEAR(wire);
        }
    }
    if (payload != NULL) {
        PyBuffer_Release(&view);
    }
    Py_DECREF(data);
    return wire;
}

/* memoryview(payload).cast("B"), or of a copy where memoryview cannot. New reference. */
static PyObject *flat_view(State *state, PyObject *payload) {
    PyObject *view = PyMemoryView_FromObject(payload), *flat, *copy;
    Py_buffer *buffer;
    if (view == NULL) {
        explain_payload(state, payload);
        return NULL;
    }
    buffer = PyMemoryView_GET_BUFFER(view);
    if (holds_objects(buffer)) {
        Py_DECREF(view);
        refuse_payload(state, payload);
        return NULL;
    }
    if (buffer->ndim == 1 && buffer->itemsize == 1 && buffer->format != NULL && strcmp(buffer->format, "B") == 0 &&
        PyBuffer_IsContiguous(buffer, 'C')) {
        return view;
    }
    flat = PyObject_CallMethodOneArg(view, state->name_cast, state->name_b);
    if (flat == NULL && (PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError))) {
        PyErr_Clear();
        copy = PyObject_CallMethodNoArgs(view, state->name_tobytes);
        if (copy != NULL) {
            flat = PyMemoryView_FromObject(copy);
            Py_DECREF(copy);
        }
    }
    Py_DECREF(view);
    return flat;
}

PyDoc_STRVAR(encode_frame_parts_doc,
             "encode_frame_parts($module, header, payload=b'', *, layout=None)\n"
             "--\n"
             "\n"
             "A frame in two parts, the payload not copied: `transport.writelines(encode_frame_parts(header, pcm))`.\n"
             "\n"
             "Returns the length words with the header, and a flat byte view of `payload`. Raises `EncodeError`.\n");

static PyObject *encode_frame_parts(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    State *state = (State *)PyModule_GetState(module);
    objs_config config;
    PyObject *header, *payload, *data, *body = NULL, *head = NULL, *parts = NULL;
    Py_ssize_t size, prefix;
    uint8_t words[16];
    if (read_encode_arguments(state, "encode_frame_parts", args, count, keywords, &header, &payload, &config) < 0) {
        return NULL;
    }
    data = header_to_bytes(state, header);
    if (data == NULL) {
        return NULL;
    }
    size = PyBytes_GET_SIZE(data);
    prefix = 2 * (Py_ssize_t)config.byte_length;
    if (payload == NULL) {
        PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
        body = empty == NULL ? NULL : PyMemoryView_FromObject(empty);
        Py_XDECREF(empty);
    } else {
        body = flat_view(state, payload);
    }
    if (body != NULL) {
        Py_ssize_t length = PyMemoryView_GET_BUFFER(body)->len;
        if (objs_put_lengths(&config, words, (uint64_t)size, (uint64_t)length) != OBJS_OK) {
            refuse_size(state, &config, size, length);
        } else {
            head = PyBytes_FromStringAndSize(NULL, prefix + size);
        }
    }
    if (head != NULL) {
        memcpy(PyBytes_AS_STRING(head), words, (size_t)prefix);
        memcpy(PyBytes_AS_STRING(head) + prefix, PyBytes_AS_STRING(data), (size_t)size);
        parts = PyTuple_Pack(2, head, body);
    }
    Py_XDECREF(head);
    Py_XDECREF(body);
    Py_DECREF(data);
    return parts;
}

/* ---------------------------------------------------------------------------------------------- the json coder's way */

static int is_ascii(const char *text, Py_ssize_t size) {
    uint64_t all = 0, word;
    Py_ssize_t n;
    for (n = 0; n + 8 <= size; n += 8) {
        memcpy(&word, text + n, 8);
        all |= word;
    }
    if (size >= 8) { /* the last ones, some of them again */
        memcpy(&word, text + size - 8, 8);
        all |= word;
    } else {
        for (; n < size; n++) {
            all |= (unsigned char)text[n];
        }
    }
    return (all & 0x8080808080808080u) == 0;
}

/* Whether msgspec is as strict as strict_json for these bytes: they are UTF-8, at which it does not look in what it passes
 * over, and have not enough brackets to be too deep. */
static int is_plain(const char *text, Py_ssize_t size) {
    PyObject *string;
    if (!is_ascii(text, size)) {
        string = PyUnicode_DecodeUTF8(text, size, NULL);
        if (string == NULL) {
            PyErr_Clear(); /* strict_json will say what is wrong, or meet the end of memory in its turn */
            return 0;
        }
        Py_DECREF(string);
    }
    return !may_be_deep(text, size);
}

/* What msgspec is shown of a chunk, in place of bytes objects that would be made for it alone. One is kept and used again. */
typedef struct {
    PyObject_HEAD
    Span span; /* owner NULL: shut */
} Window;

static int Window_getbuffer(Window *self, Py_buffer *view, int flags) {
    if (self->span.owner == NULL) {
        PyErr_SetString(PyExc_BufferError, "this window is shut");
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

static PyType_Spec Window_spec = {
    .name = "objectstreaming._native.Window",
    .basicsize = sizeof(Window),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Window_slots,
};

typedef struct {
    PyObject_HEAD
    PyObject *decode_header;
    PyObject *decode_payload;
    vectorcallfunc call;
    int keeps; /* what is decoded has been seen to hold on to what it was decoded from, as msgspec.Raw does */
} PlainJson;

static PyObject *decode_copy(PyObject *decode, const Span *span) {
    PyObject *bytes = bytes_of(span), *value;
    if (bytes == NULL) {
        return NULL;
    }
    value = PyObject_CallOneArg(decode, bytes);
    Py_DECREF(bytes);
    return value;
}

static PyObject *decode_span(State *state, PlainJson *plain, PyObject *decode, const Span *span) {
    Window *window;
    PyObject *value;
    if (span->size == PyBytes_GET_SIZE(span->owner)) {
        return PyObject_CallOneArg(decode, span->owner);
    }
    if (plain->keeps) {
        return decode_copy(decode, span);
    }
    window = (Window *)state->window; /* taken out: what decodes may come here again */
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
    } else if (value != NULL) { /* a small value is not to hold a large chunk */
        plain->keeps = 1;
        Py_SETREF(value, decode_copy(decode, span));
    }
    Py_DECREF(window);
    return value;
}

/* (header, payload) of a frame that needs no more than msgspec; NULL without an error for one that does. */
static PyObject *decode_plain(State *state, PlainJson *plain, const Span *header_span, const Span *payload_span) {
    PyObject *header, *payload = NULL, *both = NULL;
    if (!is_plain(header_span->text, header_span->size) || !is_plain(payload_span->text, payload_span->size)) {
        return NULL;
    }
    header = decode_span(state, plain, plain->decode_header, header_span);
    if (header != NULL) {
        payload = decode_span(state, plain, plain->decode_payload, payload_span);
    }
    if (payload != NULL) {
        both = PyTuple_New(2);
    }
    if (both != NULL) {
        PyTuple_SET_ITEM(both, 0, header);
        PyTuple_SET_ITEM(both, 1, payload);
        return both;
    }
    Py_XDECREF(header);
    Py_XDECREF(payload);
    if (is_refusal(state)) {
        PyErr_Clear();
    }
    return NULL;
}

static PyObject *PlainJson_vectorcall(PyObject *callable, PyObject *const *args, size_t flags, PyObject *keywords) {
    State *state = state_of(Py_TYPE(callable));
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
        message = decode_plain(state, (PlainJson *)callable, &header, &payload);
    }
    if (message == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return message;
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
        self->call = PlainJson_vectorcall;
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

/* It never changes: a deep copy of a coder may have the same. */
static PyObject *PlainJson_deepcopy(PyObject *self, PyObject *Py_UNUSED(memo)) { return Py_NewRef(self); }

static PyMethodDef PlainJson_methods[] = {
    {"__deepcopy__", PlainJson_deepcopy, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef PlainJson_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(PlainJson, call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(PlainJson_doc,
             "PlainJson(decode_header, decode_payload)\n"
             "--\n"
             "\n"
             "Called with the bytes of a header and of a payload: `(decode_header(...), decode_payload(...))`, or `None` where\n"
             "that is not all there is to it: where msgspec is not as strict as strict_json, or refuses. Both are `decode` of a\n"
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

static PyType_Spec PlainJson_spec = {
    .name = "objectstreaming._native.PlainJson",
    .basicsize = sizeof(PlainJson),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = PlainJson_slots,
};

/* A frame of two JSON values; NULL without an error where strict_json has to look at them, or to say what is wrong. */
static PyObject *encode_json(State *state, PyObject *header_value, PyObject *payload_value) {
    const objs_config standard = objs_default_config();
    PyObject *header = encode_plain(state, header_value), *payload = NULL, *wire = NULL;
    uint8_t words[8];
    if (header != NULL && PyBytes_GET_SIZE(header) > 0 && PyBytes_AS_STRING(header)[0] == '{') {
        payload = encode_plain(state, payload_value);
    }
    if (payload != NULL) {
        Py_ssize_t size = PyBytes_GET_SIZE(header), more = PyBytes_GET_SIZE(payload);
        if (objs_put_lengths(&standard, words, (uint64_t)size, (uint64_t)more) == OBJS_OK) {
            wire = PyBytes_FromStringAndSize(NULL, 8 + size + more);
            if (wire != NULL) {
                char *out = PyBytes_AS_STRING(wire);
                memcpy(out, words, 8);
                memcpy(out + 8, PyBytes_AS_STRING(header), (size_t)size);
                memcpy(out + 8 + size, PyBytes_AS_STRING(payload), (size_t)more);
            }
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
    PyObject *wire = NULL, *checked;
    if (count == 2 && keywords == NULL) {
        wire = encode_json(state, args[0], args[1]);
    }
    if (wire != NULL || PyErr_Occurred()) {
        return wire;
    }
    checked = PyObject_GetAttr(self, state->name_encode_checked);
    if (checked != NULL) {
        wire = PyObject_Vectorcall(checked, args, (size_t)count, keywords);
        Py_DECREF(checked);
    }
    return wire;
}

static PyMethodDef JsonEncoder_methods[] = {
    {"encode", (PyCFunction)(void (*)(void))JsonEncoder_encode, METH_METHOD | METH_FASTCALL | METH_KEYWORDS,
     JsonEncoder_encode_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot JsonEncoder_slots[] = {
    {Py_tp_doc, (void *)"`encode` of `JsonCoder`, which has `_encode_checked` for whatever is not plain."},
    {Py_tp_methods, JsonEncoder_methods},
    {0, NULL},
};

static PyType_Spec JsonEncoder_spec = {
    .name = "objectstreaming._native.JsonEncoder",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = JsonEncoder_slots,
};

PyDoc_STRVAR(is_ordinary_doc,
             "is_ordinary($module, wire, max_frame, max_header, /)\n"
             "--\n"
             "\n"
             "Whether a frame's bytes are within the limits and `$stream` stands nowhere in its header.\n");

static PyObject *is_ordinary(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    const objs_config standard = objs_default_config();
    const char *text, *end;
    Py_ssize_t size, header, limits[2];
    int n;
    (void)module;
    if (count != 3) {
        PyErr_Format(PyExc_TypeError, "is_ordinary() takes 3 positional arguments but %zd were given", count);
        return NULL;
    }
    for (n = 0; n < 2; n++) {
        limits[n] = PyNumber_AsSsize_t(args[n + 1], NULL); /* one beyond what memory can hold is as good as none */
        if (limits[n] == -1 && PyErr_Occurred()) {
            PyErr_Clear(); /* no integer */
            Py_RETURN_FALSE;
        }
    }
    if (!PyBytes_CheckExact(args[0]) || PyBytes_GET_SIZE(args[0]) < 8) {
        Py_RETURN_FALSE;
    }
    size = PyBytes_GET_SIZE(args[0]);
    text = PyBytes_AS_STRING(args[0]);
    header = (Py_ssize_t)objs_get_word(&standard, (const uint8_t *)text + 4);
    if (size > limits[0] || header > limits[1] || header > size - 8) {
        Py_RETURN_FALSE;
    }
    end = text + 8 + header;
    for (text += 8; end - text >= 7 && (text = memchr(text, '$', (size_t)(end - text) - 6)) != NULL; text++) {
        if (memcmp(text, "$stream", 7) == 0) {
            Py_RETURN_FALSE;
        }
    }
    Py_RETURN_TRUE;
}

/* ----------------------------------------------------------------------------------------------------- FrameDecoder */

/* A bytes object in the making: `have` bytes of it have come, there is room for `room`. */
typedef struct {
    PyObject *bytes;
    Py_ssize_t have;
    Py_ssize_t room;
} Growing;

/* Appends. The room at most doubles, and never goes beyond `want`, the claim. */
static int growing_append(Growing *self, uint64_t want, const uint8_t *data, Py_ssize_t size) {
    if (size > self->room - self->have) {
        Py_ssize_t room = self->have + size;
        room = room < 1024 ? 2048 : room > PY_SSIZE_T_MAX / 2 - 64 ? room : 2 * room;
        room = (uint64_t)room > want ? (Py_ssize_t)want : room;
        if (self->bytes == NULL) {
            self->bytes = PyBytes_FromStringAndSize(NULL, room);
        } else {
            _PyBytes_Resize(&self->bytes, room); /* on failure it lets go of the bytes, and the decoder must die */
        }
        if (self->bytes == NULL) {
            self->have = self->room = 0;
            return -1;
        }
        self->room = room;
    }
    memcpy(PyBytes_AS_STRING(self->bytes) + self->have, data, (size_t)size);
    self->have += size;
    return 0;
}

static void growing_clear(Growing *self) {
    Py_CLEAR(self->bytes);
    self->have = self->room = 0;
}

/* The finished object, which is taken out. New reference. */
static PyObject *growing_take(Growing *self) {
    PyObject *bytes = self->bytes;
    self->bytes = NULL;
    self->have = self->room = 0;
    return bytes != NULL ? bytes : PyBytes_FromStringAndSize(NULL, 0);
}

/* A payload in the making: the chunks that it came in, and the small ones gathered. They are copied once, when all are
 * there, into a bytes object of the right size: one that grew would touch up to twice the memory, and page faults are most
 * of what a large payload costs. */
typedef struct {
    Span *parts;
    Py_ssize_t count, room;
    Growing gathered; /* what follows the last part */
    Py_ssize_t have;
} Payload;

#define SMALL 512               /* a part costs more than to copy so many bytes */
#define GATHERED (64 * 1024)

/* Adds a part, with a reference of its own. */
static int payload_list(Payload *self, PyObject *owner, const char *text, Py_ssize_t size) {
    if (self->count == self->room) {
        Py_ssize_t room = self->room ? 2 * self->room : 16;
        Span *grown = PyMem_Realloc(self->parts, (size_t)room * sizeof *grown);
        if (grown == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        self->parts = grown;
        self->room = room;
    }
    self->parts[self->count].owner = Py_NewRef(owner);
    self->parts[self->count].text = text;
    self->parts[self->count++].size = size;
    return 0;
}

/* Adds `size` bytes of `chunk` to what will be `want`, the claim. */
static int payload_append(Payload *self, uint64_t want, PyObject *chunk, const uint8_t *data, Py_ssize_t size) {
    const int small = size < SMALL && self->gathered.have <= GATHERED - SMALL;
    if (!small && self->gathered.have > 0) {
        if (payload_list(self, self->gathered.bytes, PyBytes_AS_STRING(self->gathered.bytes), self->gathered.have) < 0) {
            return -1;
        }
        growing_clear(&self->gathered);
    }
    if (size < SMALL) {
        want -= (uint64_t)(self->have - self->gathered.have);
        if (growing_append(&self->gathered, want < GATHERED ? want : GATHERED, data, size) < 0) {
            return -1;
        }
    } else if (payload_list(self, chunk, (const char *)data, size) < 0) {
        return -1;
    }
    self->have += size;
    return 0;
}

static void payload_clear(Payload *self) {
    while (self->count > 0) {
        Py_DECREF(self->parts[--self->count].owner);
    }
    PyMem_Free(self->parts);
    self->parts = NULL;
    self->room = 0;
    growing_clear(&self->gathered);
    self->have = 0;
}

/* The finished object; the parts are let go. New reference. */
static PyObject *payload_take(Payload *self) {
    PyObject *bytes;
    if (self->count == 0 && self->gathered.room == self->have) {
        self->have = 0;
        return growing_take(&self->gathered);
    }
    bytes = PyBytes_FromStringAndSize(NULL, self->have);
    if (bytes != NULL) {
        char *out = PyBytes_AS_STRING(bytes);
        Py_ssize_t n;
        for (n = 0; n < self->count; n++) {
            memcpy(out, self->parts[n].text, (size_t)self->parts[n].size);
            out += self->parts[n].size;
        }
        if (self->gathered.have > 0) {
            memcpy(out, PyBytes_AS_STRING(self->gathered.bytes), (size_t)self->gathered.have);
        }
    }
    payload_clear(self);
    return bytes;
}

typedef struct {
    PyObject_HEAD
    State *state;
    objs_config config;
    uint64_t index;
    uint64_t offset; /* of the next frame, from the beginning of the stream */
    PyObject *chunk; /* the chunk being cut, NULL if there is none, and where in it the next frame begins */
    Py_ssize_t at;
    PyObject **waiting; /* chunks fed before the reader was done with `chunk`: waiting[first] and `count` from there */
    Py_ssize_t first, count, room;
    Py_ssize_t waiting_bytes;
    /* A frame that straddles chunks. */
    uint8_t words[16];
    unsigned have;   /* bytes of its length words */
    unsigned judged; /* length words found sound */
    uint64_t total;
    uint64_t header_size;
    Growing header;
    Payload payload;
    Frame *peeked;
    PyObject *error;
    int finished;
} FrameDecoder;

static void decoder_let_go(FrameDecoder *self) {
    self->have = self->judged = 0;
    self->total = self->header_size = 0;
    growing_clear(&self->header);
    payload_clear(&self->payload);
}

/* Lets go of all that is held, so that a dead decoder costs nothing. */
static void decoder_empty(FrameDecoder *self) {
    Py_CLEAR(self->chunk);
    self->at = 0;
    while (self->count > 0) {
        self->count--;
        Py_DECREF(self->waiting[self->first++]);
    }
    PyMem_Free(self->waiting);
    self->waiting = NULL;
    self->first = self->room = self->waiting_bytes = 0;
    decoder_let_go(self);
}

static Py_ssize_t chunk_left(const FrameDecoder *self) {
    return self->chunk == NULL ? 0 : PyBytes_GET_SIZE(self->chunk) - self->at;
}

/* Bytes of the straddler so far. */
static Py_ssize_t straddler_bytes(const FrameDecoder *self) {
    return (Py_ssize_t)self->have + self->header.have + self->payload.have;
}

/* Raises what has been raised before, and gives NULL. */
static PyObject *raise_again(PyObject *known) {
    PyObject *error = Py_NewRef(known);
    PyException_SetTraceback(error, Py_None);
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
    return NULL;
}

/* Dies of the error that is set. */
static void decoder_die(FrameDecoder *self) {
    PyObject *error = take_error();
    decoder_empty(self);
    Py_XSETREF(self->error, Py_XNewRef(error));
    give_error(error);
}

static PyObject *decoder_fail(FrameDecoder *self, PyObject *type, PyObject *message, uint64_t offset) {
    PyObject *error = new_frame_error(type, message, (long long)self->index, (long long)offset);
    if (error != NULL) {
        PyErr_SetObject(type, error);
        Py_DECREF(error);
        decoder_die(self);
    }
    return NULL;
}

/* The likely cause of a bad length word, to end its message with; empty where nothing suggests itself. `head` is what
 * the stream starts with, up to four bytes of it. */
static PyObject *cause_of(const uint8_t *head, size_t size, uint64_t index) {
    static const struct {
        const char *beginning, *cause;
    } beginnings[] = {
        {"\x1f\x8b", "gzip: was its Content-Encoding not undone?"},
        {"HTTP", "an HTTP response with its head still on?"},
        {"<", "an error page?"},
        {"RIFF", "a WAV file instead of frames?"},
        {"data", "server-sent events?"},
        {"even", "server-sent events?"},
        {"{", "JSON without frames?"},
        {"[", "JSON without frames?"},
    };
    const char *cause = NULL;
    size_t n, printable = 0;
    if (index) {
        return PyUnicode_FromString(": was the frame before it written with a wrong length, or were bytes lost?");
    }
    for (n = 0; n < sizeof beginnings / sizeof *beginnings && cause == NULL; n++) {
        size_t length = strlen(beginnings[n].beginning);
        if (size >= length && memcmp(head, beginnings[n].beginning, length) == 0) {
            cause = beginnings[n].cause;
        }
    }
    for (n = 0; n < size; n++) {
        printable += head[n] >= 0x20 && head[n] < 0x7f;
    }
    if (cause == NULL && printable == size) {
        cause = "text instead of frames?";
    }
    if (cause != NULL) {
        PyObject *bytes = PyBytes_FromStringAndSize((const char *)head, (Py_ssize_t)size), *text;
        if (bytes == NULL) {
            return NULL;
        }
        text = PyUnicode_FromFormat(": the stream starts with %R, %s", bytes, cause);
        Py_DECREF(bytes);
        return text;
    }
    if (size >= 2 && head[0] == 0 && head[1] == 0 && ((size > 2 && head[2]) || (size > 3 && head[3]))) {
        return PyUnicode_FromString(": the other byte order?");
    }
    return PyUnicode_FromString("");
}

static PyObject *fail_length(FrameDecoder *self, objs_code code, int at_header) {
    State *state = self->state;
    const uint64_t prefix = 2 * (uint64_t)self->config.byte_length;
    uint64_t offset = self->offset + (at_header ? self->config.byte_length : 0);
    PyObject *cause = cause_of(self->words, Py_MIN(self->have, 4), self->index), *message, *type;
    if (cause == NULL) {
        return NULL;
    }
    if (code == OBJS_INVALID_LENGTH && !at_header) {
        type = state->invalid_length;
        message = PyUnicode_FromFormat("T is %llu, but a frame has at least %llu bytes%U",
                                       (unsigned long long)self->total, (unsigned long long)prefix, cause);
    } else if (code == OBJS_FRAME_TOO_LARGE) {
        type = state->frame_too_large;
        message = PyUnicode_FromFormat("T is %llu, above the limit of %llu bytes%U", (unsigned long long)self->total,
                                       (unsigned long long)self->config.max_frame, cause);
    } else if (code == OBJS_INVALID_LENGTH) {
        type = state->invalid_length;
        message = PyUnicode_FromFormat("H is %llu, but T is %llu and leaves %llu bytes%U",
                                       (unsigned long long)self->header_size, (unsigned long long)self->total,
                                       (unsigned long long)(self->total - prefix), cause);
    } else {
        type = state->header_too_large;
        message = PyUnicode_FromFormat("H is %llu, above the limit of %llu bytes",
                                       (unsigned long long)self->header_size,
                                       (unsigned long long)self->config.max_header);
    }
    Py_DECREF(cause);
    return decoder_fail(self, type, message, offset);
}

static PyObject *fail_truncated(FrameDecoder *self) {
    uint8_t head[4];
    unsigned size = Py_MIN(self->have, 4);
    char of[32] = "";
    PyObject *cause, *message;
    memcpy(head, self->words, size);
    while (size < 4 && self->header.have > (Py_ssize_t)(size - self->have)) { /* length words of one byte */
        head[size] = (uint8_t)PyBytes_AS_STRING(self->header.bytes)[size - self->have];
        size++;
    }
    cause = self->index ? PyUnicode_FromString("") : cause_of(head, size, 0);
    if (cause == NULL) {
        return NULL;
    }
    if (self->judged == 2) {
        PyOS_snprintf(of, sizeof of, " of %llu", (unsigned long long)self->total);
    }
    message = PyUnicode_FromFormat("the stream ended inside a frame, after %zd%s bytes%U", straddler_bytes(self), of,
                                   cause);
    Py_DECREF(cause);
    return decoder_fail(self, self->state->truncated_frame, message, self->offset);
}

/* Takes `size` bytes of a chunk, header and payload, not more than the frame has left. Dies if there is no memory for them. */
static int straddler_take(FrameDecoder *self, PyObject *chunk, const uint8_t *data, Py_ssize_t size) {
    uint64_t missing = self->header_size - (uint64_t)self->header.have;
    Py_ssize_t part = (uint64_t)size < missing ? size : (Py_ssize_t)missing;
    uint64_t want = self->total - 2 * (uint64_t)self->config.byte_length - self->header_size;
    if ((part > 0 && growing_append(&self->header, self->header_size, data, part) < 0) ||
        (size > part && payload_append(&self->payload, want, chunk, data + part, size - part) < 0)) {
        decoder_die(self);
        return -1;
    }
    return 0;
}

/* Takes a whole chunk into the straddler, if that completes no frame and no length in it is wrong: 1. Else 0, and nothing
 * has changed. */
static int straddler_absorb(FrameDecoder *self, PyObject *chunk) {
    const uint8_t *data = (const uint8_t *)PyBytes_AS_STRING(chunk);
    const Py_ssize_t size = PyBytes_GET_SIZE(chunk);
    const unsigned length = self->config.byte_length, prefix = 2 * length;
    Py_ssize_t taken = 0;
    if (self->judged < 2) {
        uint8_t words[16];
        unsigned have = self->have, judged = self->judged;
        uint64_t total = self->total, header_size = 0;
        taken = Py_MIN(size, (Py_ssize_t)(prefix - have));
        memcpy(words, self->words, have);
        memcpy(words + have, data, (size_t)taken);
        have += (unsigned)taken;
        if (judged == 0 && have >= length) {
            total = objs_get_word(&self->config, words);
            if (objs_check_total(&self->config, total) != OBJS_OK) {
                return 0;
            }
            judged = 1;
        }
        if (have == prefix) {
            header_size = objs_get_word(&self->config, words + length);
            if (objs_check_header(&self->config, total, header_size) != OBJS_OK ||
                total <= (uint64_t)prefix + (uint64_t)(size - taken)) {
                return 0;
            }
            judged = 2;
        }
        memcpy(self->words, words, have);
        self->have = have;
        self->judged = judged;
        self->total = total;
        self->header_size = header_size;
    } else if (self->total - (uint64_t)straddler_bytes(self) <= (uint64_t)size) {
        return 0;
    }
    if (size > taken && straddler_take(self, chunk, data + taken, size - taken) < 0) {
        return -1;
    }
    return 1;
}

static int fill_words(FrameDecoder *self, unsigned wanted) {
    unsigned missing = wanted > self->have ? wanted - self->have : 0;
    Py_ssize_t left = chunk_left(self);
    unsigned part = left < (Py_ssize_t)missing ? (unsigned)left : missing;
    if (part > 0) {
        memcpy(self->words + self->have, PyBytes_AS_STRING(self->chunk) + self->at, part);
    }
    self->have += part;
    self->at += part;
    return part == missing;
}

/* Moves bytes of the chunk to the straddler: 1 if it is whole now, 0 if not, -1 with an error set. */
static int straddler_advance(FrameDecoder *self) {
    const unsigned length = self->config.byte_length;
    uint64_t missing;
    Py_ssize_t part, left;
    objs_code code;
    if (self->judged == 0) {
        if (!fill_words(self, length)) {
            return 0;
        }
        self->total = objs_get_word(&self->config, self->words);
        code = objs_check_total(&self->config, self->total);
        if (code != OBJS_OK) {
            fail_length(self, code, 0);
            return -1;
        }
        self->judged = 1;
    }
    if (self->judged == 1) {
        if (!fill_words(self, 2 * length)) {
            return 0;
        }
        self->header_size = objs_get_word(&self->config, self->words + length);
        code = objs_check_header(&self->config, self->total, self->header_size);
        if (code != OBJS_OK) {
            fail_length(self, code, 1);
            return -1;
        }
        self->judged = 2;
    }
    left = chunk_left(self);
    missing = self->total - (uint64_t)straddler_bytes(self);
    part = (uint64_t)left < missing ? left : (Py_ssize_t)missing;
    if (part > 0) {
        if (straddler_take(self, self->chunk, (const uint8_t *)PyBytes_AS_STRING(self->chunk) + self->at, part) < 0) {
            return -1;
        }
        self->at += part;
    }
    return (uint64_t)part == missing;
}

static PyObject *straddler_frame(FrameDecoder *self) {
    PyObject *header = growing_take(&self->header), *payload;
    Frame *frame;
    if (header == NULL) {
        decoder_die(self);
        return NULL;
    }
    payload = payload_take(&self->payload);
    frame = payload == NULL ? NULL : new_frame(self->state->frame, header, payload, self->index, self->offset);
    if (frame == NULL) {
        decoder_die(self); /* its bytes are gone: going on would be a short success */
        return NULL;
    }
    self->index++;
    self->offset += self->total;
    decoder_let_go(self);
    return (PyObject *)frame;
}

/* Whether the next frame lies whole in the chunk and is sound; if so, where its header and its payload are. */
static int decoder_find(const FrameDecoder *self, Span *header, Span *payload) {
    const Py_ssize_t prefix = 2 * (Py_ssize_t)self->config.byte_length, left = chunk_left(self);
    const uint8_t *data;
    uint64_t total, size;
    if (left < prefix || self->have != 0) {
        return 0;
    }
    data = (const uint8_t *)PyBytes_AS_STRING(self->chunk) + self->at;
    total = objs_get_word(&self->config, data);
    size = objs_get_word(&self->config, data + self->config.byte_length);
    if (total > (uint64_t)left || objs_check_total(&self->config, total) != OBJS_OK ||
        objs_check_header(&self->config, total, size) != OBJS_OK) {
        return 0;
    }
    header->owner = payload->owner = self->chunk;
    header->text = (const char *)data + prefix;
    header->size = (Py_ssize_t)size;
    payload->text = header->text + size;
    payload->size = (Py_ssize_t)total - prefix - (Py_ssize_t)size;
    return 1;
}

/* Goes past the frame that was found. */
static void decoder_pass(FrameDecoder *self, const Span *header, const Span *payload) {
    const Py_ssize_t total = 2 * (Py_ssize_t)self->config.byte_length + header->size + payload->size;
    self->at += total;
    self->index++;
    self->offset += (uint64_t)total;
}

/* Its bytes: two new references, or -1 with an error set. */
static int copy_spans(const Span *header, const Span *payload, PyObject **header_bytes, PyObject **payload_bytes) {
    *header_bytes = bytes_of(header);
    if (*header_bytes == NULL) {
        return -1;
    }
    *payload_bytes = bytes_of(payload);
    if (*payload_bytes == NULL) {
        Py_CLEAR(*header_bytes);
        return -1;
    }
    return 0;
}

/* The next frame; NULL without an error if more bytes are needed. */
static PyObject *decoder_next(FrameDecoder *self) {
    if (self->error != NULL) {
        return raise_again(self->error);
    }
    if (self->peeked != NULL) {
        PyObject *frame = (PyObject *)self->peeked;
        self->peeked = NULL;
        return frame;
    }
    for (;;) {
        Span header, payload;
        if (decoder_find(self, &header, &payload)) {
            PyObject *header_bytes, *payload_bytes;
            Frame *frame = NULL;
            if (copy_spans(&header, &payload, &header_bytes, &payload_bytes) == 0) {
                frame = new_frame(self->state->frame, header_bytes, payload_bytes, self->index, self->offset);
            }
            if (frame != NULL) {
                decoder_pass(self, &header, &payload);
            }
            return (PyObject *)frame;
        }
        if (chunk_left(self) > 0) {
            int done = straddler_advance(self);
            if (done < 0) {
                return NULL;
            }
            if (done) {
                return straddler_frame(self);
            }
        } else if (self->count > 0) {
            Py_XSETREF(self->chunk, self->waiting[self->first]);
            self->first++;
            self->count--;
            self->at = 0;
            self->waiting_bytes -= PyBytes_GET_SIZE(self->chunk);
        } else {
            Py_CLEAR(self->chunk);
            self->at = 0;
            break;
        }
    }
    if (self->finished && self->have) {
        return fail_truncated(self);
    }
    return NULL;
}

/* Puts a chunk in the queue. Steals it. */
static int decoder_queue(FrameDecoder *self, PyObject *chunk) {
    if (self->first + self->count == self->room) {
        if (self->first > self->room / 2) {
            memmove(self->waiting, self->waiting + self->first, (size_t)self->count * sizeof *self->waiting);
            self->first = 0;
        } else {
            Py_ssize_t room = self->room ? 2 * self->room : 8;
            PyObject **grown = PyMem_Realloc(self->waiting, (size_t)room * sizeof *self->waiting);
            if (grown == NULL) {
                Py_DECREF(chunk);
                PyErr_NoMemory();
                return -1;
            }
            self->waiting = grown;
            self->room = room;
        }
    }
    self->waiting[self->first + self->count++] = chunk;
    self->waiting_bytes += PyBytes_GET_SIZE(chunk);
    return 0;
}

/* Its bytes now, for the caller may use its buffer again. New reference to exact bytes. */
static PyObject *chunk_to_bytes(PyObject *chunk) {
    PyObject *view, *bytes;
    if (PyLong_Check(chunk) || PyUnicode_Check(chunk)) { /* bytes(5) would be five zero bytes */
        PyObject *name = PyType_GetName(Py_TYPE(chunk));
        if (name != NULL) {
            PyErr_Format(PyExc_TypeError, "a chunk is bytes-like, not %U", name);
            Py_DECREF(name);
        }
        return NULL;
    }
    view = PyMemoryView_FromObject(chunk);
    if (view == NULL) {
        return NULL;
    }
    bytes = PyBytes_FromObject(view);
    Py_DECREF(view);
    return bytes;
}

typedef struct {
    PyObject_HEAD
    FrameDecoder *decoder; /* NULL once it has ended */
} Frames;

PyDoc_STRVAR(feed_doc,
             "feed($self, chunk, /)\n"
             "--\n"
             "\n"
             "Take a chunk, and iterate over the frames that are now whole.\n"
             "\n"
             "What the iterator is not asked for stays in the decoder, for the next `feed` or `next_frame`. Raises a\n"
             "`FrameError` after the good frames, `RuntimeError` once `finish` was called, `TypeError` for what is not bytes.\n");

/* Whether a chunk has all of its first frame, if that is sound. */
static int begins_whole(const FrameDecoder *self, PyObject *chunk) {
    const Py_ssize_t size = PyBytes_GET_SIZE(chunk);
    return size >= (Py_ssize_t)self->config.byte_length &&
           objs_get_word(&self->config, (const uint8_t *)PyBytes_AS_STRING(chunk)) <= (uint64_t)size;
}

/* Takes a chunk: 1 if frames may now be whole, 0 if none is, -1 with an error set. */
static int decoder_take(FrameDecoder *self, PyObject *chunk) {
    if (self->finished) {
        PyErr_SetString(PyExc_RuntimeError, "feed() after finish(): the stream was said to have ended");
        return -1;
    }
    chunk = PyBytes_CheckExact(chunk) ? Py_NewRef(chunk) : chunk_to_bytes(chunk);
    if (chunk == NULL) {
        return -1;
    }
    if (self->error != NULL) {
        Py_DECREF(chunk);
        raise_again(self->error);
        return -1;
    }
    if (chunk_left(self) > 0 || self->count > 0) {
        return decoder_queue(self, chunk) < 0 ? -1 : 1;
    }
    Py_CLEAR(self->chunk); /* used up */
    self->at = 0;
    if (self->have != 0 || !begins_whole(self, chunk)) {
        int absorbed = straddler_absorb(self, chunk);
        if (absorbed) {
            Py_DECREF(chunk);
            return absorbed < 0 ? -1 : 0;
        }
    }
    self->chunk = chunk;
    return 1;
}

static PyObject *FrameDecoder_feed(FrameDecoder *self, PyObject *chunk) {
    Frames *frames;
    int more = decoder_take(self, chunk);
    if (more <= 0) {
        return more < 0 ? NULL : Py_NewRef(self->state->nothing);
    }
    frames = PyObject_GC_New(Frames, self->state->frames);
    if (frames == NULL) {
        decoder_die(self); /* the chunk is in: fed again, its bytes would come twice */
        return NULL;
    }
    frames->decoder = (FrameDecoder *)Py_NewRef(self);
    PyObject_GC_Track(frames);
    return (PyObject *)frames;
}

PyDoc_STRVAR(next_frame_doc,
             "next_frame($self, /)\n"
             "--\n"
             "\n"
             "The next frame, or `None` if more bytes are needed. Raises as `feed` does.");

static PyObject *FrameDecoder_next_frame(FrameDecoder *self, PyObject *Py_UNUSED(ignored)) {
    PyObject *frame = decoder_next(self);
    if (frame == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return frame;
}

PyDoc_STRVAR(finish_doc,
             "finish($self, /)\n"
             "--\n"
             "\n"
             "Say that no more bytes will come. Raises `TruncatedFrame` if a frame has begun and is not whole.\n"
             "\n"
             "Whole frames not yet asked for can still be read with `next_frame`, which then raises in its turn.\n");

static PyObject *FrameDecoder_finish(FrameDecoder *self, PyObject *Py_UNUSED(ignored)) {
    self->finished = 1;
    if (self->peeked == NULL) {
        Frame *frame = (Frame *)decoder_next(self);
        if (frame == NULL && PyErr_Occurred()) {
            return NULL;
        }
        self->peeked = frame;
    }
    Py_RETURN_NONE;
}

static PyObject *FrameDecoder_get_position(FrameDecoder *self, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLongLong(self->index - (self->peeked != NULL));
}

static PyObject *FrameDecoder_get_offset(FrameDecoder *self, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLongLong(self->peeked != NULL ? (uint64_t)self->peeked->offset : self->offset);
}

static PyObject *FrameDecoder_get_buffered(FrameDecoder *self, void *closure) {
    uint64_t peeked = self->peeked != NULL ? self->offset - (uint64_t)self->peeked->offset : 0;
    (void)closure;
    return PyLong_FromUnsignedLongLong(peeked + (uint64_t)straddler_bytes(self) + (uint64_t)chunk_left(self) +
                                       (uint64_t)self->waiting_bytes);
}

static PyObject *FrameDecoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    State *state = state_of(type);
    FrameDecoder *self;
    (void)args;
    (void)kwargs;
    if (state == NULL) {
        return NULL;
    }
    self = (FrameDecoder *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->state = state;
        self->config = objs_default_config();
    }
    return (PyObject *)self;
}

/* A limit beyond 64 bits is as good as none: no length word can say more. */
static int read_limit(PyObject *limits, PyObject *name, uint64_t *limit) {
    PyObject *value = PyObject_GetAttr(limits, name);
    if (value == NULL) {
        return -1;
    }
    *limit = PyLong_AsUnsignedLongLong(value);
    if (*limit == (unsigned long long)-1 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            Py_DECREF(value);
            return -1;
        }
        PyErr_Clear();
        *limit = UINT64_MAX;
    }
    Py_DECREF(value);
    return 0;
}

static int FrameDecoder_init(FrameDecoder *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"limits", "layout", NULL};
    PyObject *limits = Py_None, *layout = Py_None;
    objs_config config = objs_default_config();
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:FrameDecoder", names, &limits, &layout)) {
        return -1;
    }
    if (limits != Py_None && (read_limit(limits, self->state->name_frame, &config.max_frame) < 0 ||
                              read_limit(limits, self->state->name_header, &config.max_header) < 0)) {
        return -1;
    }
    if (layout != Py_None && read_layout(self->state, layout, &config) < 0) {
        return -1;
    }
    decoder_empty(self);
    Py_CLEAR(self->peeked);
    Py_CLEAR(self->error);
    self->config = config;
    self->index = self->offset = 0;
    self->finished = 0;
    return 0;
}

static int FrameDecoder_traverse(FrameDecoder *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->error);
    return 0;
}

static int FrameDecoder_clear(FrameDecoder *self) {
    Py_CLEAR(self->error);
    return 0;
}

static void FrameDecoder_dealloc(FrameDecoder *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    decoder_empty(self);
    Py_CLEAR(self->peeked);
    Py_CLEAR(self->error);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(FrameDecoder_doc,
             "FrameDecoder(limits=None, layout=None)\n"
             "--\n"
             "\n"
             "Bytes in, in any pieces; frames out.\n"
             "\n"
             "Each chunk may be any bytes-like object. `feed` takes it at once and yields lazily: first every good frame, then\n"
             "the error, if there is one. A decoder that failed is dead and raises the same error again.\n"
             "\n"
             ">>> decoder = FrameDecoder()\n"
             ">>> wire = encode_frame({\"a\": 1}, b\"first\") + encode_frame({\"a\": 2}, b\"second\")\n"
             ">>> [frame.payload for chunk in (wire[:3], wire[3:30], wire[30:]) for frame in decoder.feed(chunk)]\n"
             "[b'first', b'second']\n"
             ">>> decoder.finish()\n"
             ">>> decoder.position, decoder.offset, decoder.buffered\n"
             "(2, 41, 0)\n");

static PyGetSetDef FrameDecoder_getset[] = {
    {"position", (getter)FrameDecoder_get_position, NULL, "How many frames have been delivered.", NULL},
    {"offset", (getter)FrameDecoder_get_offset, NULL,
     "How many bytes the delivered frames took: where the next one begins.", NULL},
    {"buffered", (getter)FrameDecoder_get_buffered, NULL, "How many bytes have been fed beyond `offset`.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef FrameDecoder_methods[] = {
    {"feed", (PyCFunction)FrameDecoder_feed, METH_O, feed_doc},
    {"next_frame", (PyCFunction)FrameDecoder_next_frame, METH_NOARGS, next_frame_doc},
    {"finish", (PyCFunction)FrameDecoder_finish, METH_NOARGS, finish_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot FrameDecoder_slots[] = {
    {Py_tp_doc, (void *)FrameDecoder_doc},
    {Py_tp_new, FrameDecoder_new},
    {Py_tp_init, FrameDecoder_init},
    {Py_tp_dealloc, FrameDecoder_dealloc},
    {Py_tp_traverse, FrameDecoder_traverse},
    {Py_tp_clear, FrameDecoder_clear},
    {Py_tp_getset, FrameDecoder_getset},
    {Py_tp_methods, FrameDecoder_methods},
    {0, NULL},
};

static PyType_Spec FrameDecoder_spec = {
    .name = "objectstreaming.frames.FrameDecoder",
    .basicsize = sizeof(FrameDecoder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = FrameDecoder_slots,
};

/* --------------------------------------------------------------------------------------------- what feed() gives back */

static PyObject *Frames_next(Frames *self) {
    PyObject *frame;
    FrameDecoder *decoder = self->decoder;
    if (decoder == NULL) {
        return NULL;
    }
    frame = decoder_next(decoder);
    if (frame == NULL && self->decoder == decoder) { /* as a generator: what has ended, or raised, has ended for good */
        self->decoder = NULL;
        Py_DECREF(decoder);
    }
    return frame;
}

static int Frames_traverse(Frames *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->decoder);
    return 0;
}

static int Frames_clear(Frames *self) {
    Py_CLEAR(self->decoder);
    return 0;
}

static void Frames_dealloc(Frames *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->decoder);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyType_Slot Frames_slots[] = {
    {Py_tp_doc, (void *)"The frames that are whole, one by one; made by FrameDecoder.feed()."},
    {Py_tp_dealloc, Frames_dealloc},
    {Py_tp_traverse, Frames_traverse},
    {Py_tp_clear, Frames_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, Frames_next},
    {0, NULL},
};

static PyType_Spec Frames_spec = {
    .name = "objectstreaming._native.Frames",
    .basicsize = sizeof(Frames),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Frames_slots,
};

/* ----------------------------------------------------------------------------------- what StreamDecoder is built upon */

typedef struct {
    PyObject_HEAD
    FrameDecoder *frames;
    PyObject *plain;   /* NULL or None: every frame needs a look */
    PyObject *failure; /* NULL or None: it lives */
} Reader;

typedef struct {
    PyObject_HEAD
    Reader *reader; /* NULL once it has ended */
} Messages;

static PyObject *new_messages(Reader *self) {
    Messages *messages = PyObject_GC_New(Messages, self->frames->state->messages);
    if (messages == NULL) {
        return NULL;
    }
    messages->reader = (Reader *)Py_NewRef(self);
    PyObject_GC_Track(messages);
    return (PyObject *)messages;
}

static int reader_ready(Reader *self) {
    if (self->failure != NULL && self->failure != Py_None) {
        if (PyExceptionInstance_Check(self->failure)) {
            raise_again(self->failure);
        } else {
            PyErr_Format(PyExc_TypeError, "a failure is an exception, not %R", self->failure);
        }
        return 0;
    }
    if (self->frames == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a reader's __init__ was not called");
        return 0;
    }
    return 1;
}

PyDoc_STRVAR(Reader_feed_doc,
             "feed($self, chunk, /)\n"
             "--\n"
             "\n"
             "Take a chunk at once, and iterate lazily over the messages that are now whole.\n");

static PyObject *Reader_feed(Reader *self, PyObject *chunk) {
    PyObject *messages;
    int more;
    if (!reader_ready(self)) {
        return NULL;
    }
    more = decoder_take(self->frames, chunk);
    if (more <= 0) {
        return more < 0 ? NULL : Py_NewRef(self->frames->state->nothing);
    }
    messages = new_messages(self);
    if (messages == NULL) {
        decoder_die(self->frames); /* the chunk is in: fed again, its bytes would come twice */
    }
    return messages;
}

PyDoc_STRVAR(Reader_next_message_doc,
             "next_message($self, /)\n"
             "--\n"
             "\n"
             "The next message, or `None` if more bytes are needed. Raises as iteration does.\n");

/* The message that `plain` makes of a data frame; NULL without an error if it makes none. Bytes objects that were made for
 * it are the caller's, to use and to let go. */
static PyObject *reader_try_plain(Reader *self, State *state, const Span *header, const Span *payload,
                                  PyObject **header_bytes, PyObject **payload_bytes) {
    PyObject *plain = self->plain, *message = NULL;
    if (plain == NULL || plain == Py_None || objs_is_control((const uint8_t *)header->text, (size_t)header->size)) {
        return NULL;
    }
    Py_INCREF(plain); /* what it calls may put another in its place */
    if (Py_IS_TYPE(plain, state->plain_json)) {
        message = decode_plain(state, (PlainJson *)plain, header, payload);
    } else if (copy_spans(header, payload, header_bytes, payload_bytes) == 0) {
        PyObject *both[] = {*header_bytes, *payload_bytes};
        message = PyObject_Vectorcall(plain, both, 2, NULL);
        if (message == Py_None) {
            Py_CLEAR(message);
        }
    }
    Py_DECREF(plain);
    return message;
}

/* The next message, with the reader and its decoder held by the caller; NULL without an error at the end. */
static PyObject *reader_step_held(Reader *self, FrameDecoder *decoder) {
    if (chunk_left(decoder) == 0 && decoder->count == 0 && decoder->peeked == NULL && decoder->error == NULL &&
        !decoder->finished) {
        Py_CLEAR(decoder->chunk); /* as at the end of every chunk but the last */
        decoder->at = 0;
        return NULL;
    }
    for (;;) {
        PyObject *header_bytes = NULL, *payload_bytes = NULL, *message = NULL;
        Frame *frame = NULL;
        Span header, payload;
        if (decoder->peeked == NULL && decoder->error == NULL && decoder_find(decoder, &header, &payload)) {
            const uint64_t index = decoder->index, offset = decoder->offset;
            PyObject *chunk = Py_NewRef(header.owner); /* what decodes may feed the decoder another */
            decoder_pass(decoder, &header, &payload);
            message = reader_try_plain(self, decoder->state, &header, &payload, &header_bytes,
                                           &payload_bytes);
            if (message == NULL && !PyErr_Occurred()) {
                if (payload_bytes != NULL || copy_spans(&header, &payload, &header_bytes, &payload_bytes) == 0) {
                    frame = new_frame(decoder->state->frame, Py_NewRef(header_bytes), Py_NewRef(payload_bytes), index,
                                      offset);
                }
                if (frame == NULL) {
                    decoder_die(decoder); /* its bytes are gone: going on would be a short success */
                }
            }
            Py_DECREF(chunk);
        } else {
            frame = (Frame *)decoder_next(decoder);
            if (frame != NULL) {
                header = span_of(frame->header_bytes);
                payload = span_of(frame->payload);
                message = reader_try_plain(self, decoder->state, &header, &payload, &header_bytes,
                                           &payload_bytes);
            }
        }
        Py_XDECREF(header_bytes);
        Py_XDECREF(payload_bytes);
        if (message != NULL || PyErr_Occurred() || (frame == NULL && !decoder->finished)) {
            Py_XDECREF(frame);
            return message;
        }
        message = PyObject_CallMethodOneArg((PyObject *)self, decoder->state->name_look,
                                            frame != NULL ? (PyObject *)frame : Py_None);
        if (frame == NULL) {
            Py_XDECREF(message);
            return NULL;
        }
        Py_DECREF(frame);
        if (message != Py_None) {
            return message;
        }
        Py_DECREF(message);
    }
}

static PyObject *reader_step(Reader *self) {
    FrameDecoder *decoder = (FrameDecoder *)Py_NewRef(self->frames);
    PyObject *message = reader_step_held(self, decoder);
    Py_DECREF(decoder);
    return message;
}

/* As of a generator (PEP 479): a StopIteration by what decodes would pass for the end of the messages. */
static void refuse_stop_iteration(void) {
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_StopIteration)) {
        PyObject *cause = take_error(), *error;
        PyErr_SetString(PyExc_RuntimeError, "a decoder raised StopIteration");
        error = take_error();
        PyException_SetCause(error, cause);
        give_error(error);
    }
}

static PyObject *Reader_next_message(Reader *self, PyObject *Py_UNUSED(ignored)) {
    PyObject *message;
    if (!reader_ready(self)) {
        return NULL;
    }
    message = reader_step(self);
    if (message == NULL) {
        if (!PyErr_Occurred()) {
            Py_RETURN_NONE;
        }
        refuse_stop_iteration();
    }
    return message;
}

static PyObject *Messages_next(Messages *self) {
    Reader *reader = self->reader;
    PyObject *message;
    if (reader == NULL) {
        return NULL;
    }
    Py_INCREF(reader); /* whoever decodes or looks may end this iteration */
    message = reader_step(reader);
    if (message == NULL) {
        Py_CLEAR(self->reader);
        refuse_stop_iteration();
    }
    Py_DECREF(reader);
    return message;
}

static int Messages_traverse(Messages *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->reader);
    return 0;
}

static int Messages_clear(Messages *self) {
    Py_CLEAR(self->reader);
    return 0;
}

static void Messages_dealloc(Messages *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->reader);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyType_Slot Messages_slots[] = {
    {Py_tp_doc, (void *)"The messages that are whole, one by one; made by feed() of a Reader."},
    {Py_tp_dealloc, Messages_dealloc},
    {Py_tp_traverse, Messages_traverse},
    {Py_tp_clear, Messages_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, Messages_next},
    {0, NULL},
};

static PyType_Spec Messages_spec = {
    .name = "objectstreaming._native.Messages",
    .basicsize = sizeof(Messages),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Messages_slots,
};

static int Reader_init(Reader *self, PyObject *args, PyObject *kwargs) {
    State *state;
    PyObject *module = PyType_GetModuleByDef(Py_TYPE(self), &module_definition), *frames;
    (void)kwargs;
    if (module == NULL) {
        return -1;
    }
    state = (State *)PyModule_GetState(module);
    if (!PyArg_ParseTuple(args, "O!:Reader", state->decoder, &frames)) {
        return -1;
    }
    Py_XSETREF(self->frames, (FrameDecoder *)Py_NewRef(frames));
    Py_CLEAR(self->plain);
    Py_CLEAR(self->failure);
    return 0;
}

static int Reader_traverse(Reader *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->frames);
    Py_VISIT(self->plain);
    Py_VISIT(self->failure);
    return 0;
}

static int Reader_clear(Reader *self) {
    Py_CLEAR(self->plain);
    Py_CLEAR(self->failure);
    return 0;
}

static void Reader_dealloc(Reader *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Reader_clear(self);
    Py_CLEAR(self->frames);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(Reader_doc,
             "Reader(frames)\n"
             "--\n"
             "\n"
             "The twin of protocol.Reader, and documented there.\n");

static PyMemberDef Reader_members[] = {
    {"_frames", T_OBJECT, offsetof(Reader, frames), READONLY, NULL},
    {"_plain", T_OBJECT, offsetof(Reader, plain), 0, NULL},
    {"_failure", T_OBJECT, offsetof(Reader, failure), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef Reader_methods[] = {
    {"feed", (PyCFunction)Reader_feed, METH_O, Reader_feed_doc},
    {"next_message", (PyCFunction)Reader_next_message, METH_NOARGS, Reader_next_message_doc},
    {"__class_getitem__", (PyCFunction)Py_GenericAlias, METH_O | METH_CLASS, NULL}, /* its twin is generic */
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Reader_slots[] = {
    {Py_tp_doc, (void *)Reader_doc},
    {Py_tp_init, Reader_init},
    {Py_tp_dealloc, Reader_dealloc},
    {Py_tp_traverse, Reader_traverse},
    {Py_tp_clear, Reader_clear},
    {Py_tp_members, Reader_members},
    {Py_tp_methods, Reader_methods},
    {0, NULL},
};

static PyType_Spec Reader_spec = {
    .name = "objectstreaming._native.Reader",
    .basicsize = sizeof(Reader),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = Reader_slots,
};

/* ----------------------------------------------------------------------------------------------------------- module */

static PyObject *import_from(const char *module_name, const char *name) {
    PyObject *module = PyImport_ImportModule(module_name), *found;
    if (module == NULL) {
        return NULL;
    }
    found = PyObject_GetAttrString(module, name);
    Py_DECREF(module);
    return found;
}

static int module_exec(PyObject *module) {
    State *state = (State *)PyModule_GetState(module);
    PyObject *decoder, *encoder, *match;
    const char *pure;
    const struct {
        PyObject **place;
        const char *module, *name;
    } wanted[] = {
        {&state->invalid_length, "objectstreaming.errors", "InvalidLength"},
        {&state->frame_too_large, "objectstreaming.errors", "FrameTooLarge"},
        {&state->header_too_large, "objectstreaming.errors", "HeaderTooLarge"},
        {&state->invalid_header, "objectstreaming.errors", "InvalidHeader"},
        {&state->truncated_frame, "objectstreaming.errors", "TruncatedFrame"},
        {&state->encode_error, "objectstreaming.errors", "EncodeError"},
        {&state->invalid_json, "objectstreaming.strict_json", "InvalidJSON"},
        {&state->loads_object, "objectstreaming.strict_json", "loads_object"},
        {&state->dumps, "objectstreaming.strict_json", "dumps"},
        {&state->mapping, "collections.abc", "Mapping"},
        {&state->structure, "msgspec", "Struct"},
        {&state->msgspec_error, "msgspec", "MsgspecError"},
    };
    const struct {
        PyObject **place;
        const char *name;
    } names[] = {
        {&state->name_frame, "frame"},           {&state->name_header, "header"},
        {&state->name_byte_length, "byte_length"}, {&state->name_byte_order, "byte_order"},
        {&state->name_cast, "cast"},             {&state->name_tobytes, "tobytes"},
        {&state->name_b, "B"},                   {&state->name_look, "_look"},
        {&state->name_encode_checked, "_encode_checked"},
    };
    size_t n;
    for (n = 0; n < sizeof names / sizeof *names; n++) {
        *names[n].place = PyUnicode_InternFromString(names[n].name);
        if (*names[n].place == NULL) {
            return -1;
        }
    }
    for (n = 0; n < sizeof wanted / sizeof *wanted; n++) {
        *wanted[n].place = import_from(wanted[n].module, wanted[n].name);
        if (*wanted[n].place == NULL) {
            return -1;
        }
    }
    decoder = import_from("msgspec.json", "Decoder");
    if (decoder != NULL) {
        Py_SETREF(decoder, PyObject_CallOneArg(decoder, (PyObject *)&PyDict_Type));
    }
    state->decode_object = decoder == NULL ? NULL : PyObject_GetAttrString(decoder, "decode");
    Py_XDECREF(decoder);
    if (state->decode_object == NULL) {
        return -1;
    }
    encoder = import_from("msgspec.json", "Encoder");
    if (encoder != NULL) {
        Py_SETREF(encoder, PyObject_CallNoArgs(encoder));
    }
    state->encode = encoder == NULL ? NULL : PyObject_GetAttrString(encoder, "encode");
    Py_XDECREF(encoder);
    state->frame = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Frame_spec, NULL);
    state->decoder = (PyTypeObject *)PyType_FromModuleAndSpec(module, &FrameDecoder_spec, NULL);
    state->frames = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Frames_spec, NULL);
    state->messages = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Messages_spec, NULL);
    state->reader = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Reader_spec, NULL);
    state->plain_json = (PyTypeObject *)PyType_FromModuleAndSpec(module, &PlainJson_spec, NULL);
    state->json_encoder = (PyTypeObject *)PyType_FromModuleAndSpec(module, &JsonEncoder_spec, NULL);
    state->window_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Window_spec, NULL);
    if (state->encode == NULL || state->frame == NULL || state->decoder == NULL || state->frames == NULL ||
        state->messages == NULL || state->reader == NULL || state->plain_json == NULL ||
        state->json_encoder == NULL || state->window_type == NULL ||
        !PyType_Check(state->structure)) {
        return -1;
    }
    state->nothing = (PyObject *)PyObject_GC_New(Frames, state->frames);
    if (state->nothing == NULL) {
        return -1;
    }
    ((Frames *)state->nothing)->decoder = NULL;
    PyObject_GC_Track(state->nothing);
    match = Py_BuildValue("(ssss)", "header_bytes", "payload", "index", "offset");
    if (match == NULL || PyObject_SetAttrString((PyObject *)state->frame, "__match_args__", match) < 0) {
        Py_XDECREF(match);
        return -1;
    }
    Py_DECREF(match);
    pure = getenv("OBJECTSTREAMING_PURE");
    if (PyModule_AddObjectRef(module, "Frame", (PyObject *)state->frame) < 0 ||
        PyModule_AddObjectRef(module, "FrameDecoder", (PyObject *)state->decoder) < 0 ||
        PyModule_AddObjectRef(module, "Reader", (PyObject *)state->reader) < 0 ||
        PyModule_AddObjectRef(module, "PlainJson", (PyObject *)state->plain_json) < 0 ||
        PyModule_AddObjectRef(module, "JsonEncoder", (PyObject *)state->json_encoder) < 0 ||
        PyModule_AddObjectRef(module, "CHOSEN", pure != NULL && *pure != '\0' && strcmp(pure, "0") != 0 ? Py_False : Py_True) <
            0) {
        return -1;
    }
    return 0;
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

static PyMethodDef module_methods[] = {
    {"encode_frame", (PyCFunction)(void (*)(void))encode_frame, METH_FASTCALL | METH_KEYWORDS, encode_frame_doc},
    {"encode_frame_parts", (PyCFunction)(void (*)(void))encode_frame_parts, METH_FASTCALL | METH_KEYWORDS,
     encode_frame_parts_doc},
    {"is_ordinary", (PyCFunction)(void (*)(void))is_ordinary, METH_FASTCALL, is_ordinary_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    /* Decoders have no lock of their own: until they have been tested without the GIL, they ask for it. */
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "objectstreaming._native",
    .m_doc = "The C twin of objectstreaming.frames' hot path; import it from there.",
    .m_size = sizeof(State),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&module_definition); }
