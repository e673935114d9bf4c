/* encode_frame, encode_frame_parts, encode_data_frame: a header and a payload to bytes. And is_ordinary. */
#include "native.h"

/* By its attributes, so that a subclass will do as well. */
int read_layout(State *state, PyObject *layout, objs_config *config) {
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
    reason = text_of_invalid_json(state);
    if (reason != NULL) {
        raise_message(state->encode_error, PyUnicode_FromFormat("the header is not a JSON object: %U", reason));
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
            raise_message(state->encode_error,
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
        raise_message(state->encode_error,
                    PyUnicode_FromFormat("a payload is bytes, or an array in memory; a %U is neither", name));
        Py_DECREF(name);
    }
}

/* If the current error means that there is no buffer, says so as an EncodeError. */
static void explain_payload(State *state, PyObject *payload) {
    if (PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError) ||
        PyErr_ExceptionMatches(PyExc_BufferError)) {
        PyErr_Clear();
        refuse_payload(state, payload);
    }
}

/* An array of Python objects holds addresses, which mean nothing to a receiver. */
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
    raise_message(state->encode_error,
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

int spells_stream(const char *header, Py_ssize_t size) {
    const char *end = header + size, *at;
    for (at = header; end - at >= 7 && (at = memchr(at, '$', (size_t)(end - at) - 6)) != NULL; at++) {
        if (memcmp(at, "$stream", 7) == 0) {
            return 1;
        }
    }
    return 0;
}

int may_have_stream_member(const char *header, Py_ssize_t size) {
    const char *end = header + size, *at;
    if (spells_stream(header, size)) {
        return 1;
    }
    /* Of JSON's escapes only \u can spell a part of the name. */
    for (at = header; end - at >= 2 && (at = memchr(at, '\\', (size_t)(end - at) - 1)) != NULL; at++) {
        if (at[1] == 'u') {
            return 1;
        }
    }
    return 0;
}

/* strict_json.check_data_header: 0, or -1 with an error set. */
static int check_data_header(State *state, PyObject *header) {
    PyObject *none;
    if (!may_have_stream_member(PyBytes_AS_STRING(header), PyBytes_GET_SIZE(header))) {
        return 0;
    }
    none = PyObject_CallOneArg(state->check_data_header, header);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* The two functions that differ in one check. */
static PyObject *encode(PyObject *module, const char *name, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                        int data_frame) {
    State *state = (State *)PyModule_GetState(module);
    objs_config config;
    PyObject *header, *payload, *data, *wire = NULL;
    Py_buffer view;
    Py_ssize_t size;
    char *out;
    if (read_encode_arguments(state, name, args, count, keywords, &header, &payload, &config) < 0) {
        return NULL;
    }
    data = header_to_bytes(state, header);
    if (data == NULL) {
        return NULL;
    }
    view.obj = NULL;
    view.len = 0;
    if ((data_frame && check_data_header(state, data) < 0) ||
        (payload != NULL && view_payload(state, payload, &view) < 0)) {
        Py_DECREF(data);
        return NULL;
    }
    size = PyBytes_GET_SIZE(data);
    wire = new_wire(&config, size, view.len, &out);
    if (wire != NULL) {
        out = put(out, PyBytes_AS_STRING(data), size);
        if (view.len == 0) {
        } else if (PyBuffer_IsContiguous(&view, 'C')) {
            put(out, view.buf, view.len);
        } else if (PyBuffer_ToContiguous(out, &view, view.len, 'C') < 0) {
            Py_CLEAR(wire);
        }
    } else if (!PyErr_Occurred()) {
        refuse_size(state, &config, size, view.len);
    }
    if (payload != NULL) {
        PyBuffer_Release(&view);
    }
    Py_DECREF(data);
    return wire;
}

PyDoc_STRVAR(encode_frame_doc,
             "encode_frame($module, header, payload=b'', *, layout=None)\n"
             "--\n"
             "\n"
             "One frame's bytes.\n"
             "\n"
             "This is the raw layer: it does not look for the header member `$stream`, which belongs to control frames. Coders\n"
             "write data frames with `encode_data_frame`.\n"
             "\n"
             ">>> encode_frame(b'{\"a\": 1}', b'{\"b\": 2}').hex(\" \", 4)\n"
             "'18000000 08000000 7b226122 3a20317d 7b226222 3a20327d'\n"
             "\n"
             "Args:\n"
             "    header: a mapping, a typed object (dataclass, `msgspec.Struct`), or JSON bytes, which go out untouched once they\n"
             "        have been checked.\n"
             "    payload: bytes, or anything else with the buffer protocol.\n"
             "    layout: of the length words; by default the wire's.\n"
             "\n"
             "Raises:\n"
             "    EncodeError: The header is not a JSON object, the payload has no bytes, or T does not fit its length word.\n");

static PyObject *encode_frame(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    return encode(module, "encode_frame", args, count, keywords, 0);
}

PyDoc_STRVAR(encode_data_frame_doc,
             "encode_data_frame($module, header, payload=b'', *, layout=None)\n"
             "--\n"
             "\n"
             "`encode_frame` for a data frame: a header with the member `$stream` is refused.\n"
             "\n"
             "That member belongs to control frames (SPEC section 3.1): with it at its beginning, a header of a user's data could\n"
             "end the stream. Raises `EncodeError`.\n"
             "\n"
             ">>> encode_data_frame({\"$stream\": {\"type\": \"end\", \"frames\": 0}})\n"
             "Traceback (most recent call last):\n"
             "objectstreaming.errors.EncodeError: the header member \"$stream\" belongs to control frames\n");

static PyObject *encode_data_frame(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    return encode(module, "encode_data_frame", args, count, keywords, 1);
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
             "It does not look for the header member `$stream`: see `encode_frame`.\n"
             "\n"
             "Args:\n"
             "    header: as for `encode_frame`.\n"
             "    payload: as for `encode_frame`; it must not change until it is sent.\n"
             "    layout: as for `encode_frame`.\n"
             "\n"
             "Returns:\n"
             "    The length words with the header, and a flat byte view of the payload.\n"
             "\n"
             "Raises:\n"
             "    EncodeError: As for `encode_frame`.\n");

static PyObject *encode_frame_parts(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    State *state = (State *)PyModule_GetState(module);
    objs_config config;
    PyObject *header, *payload, *data, *body, *head = NULL, *parts = NULL;
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
        const Py_ssize_t length = PyMemoryView_GET_BUFFER(body)->len;
        if (objs_put_lengths(&config, words, (uint64_t)size, (uint64_t)length) != OBJS_OK) {
            refuse_size(state, &config, size, length);
        } else {
            head = PyBytes_FromStringAndSize(NULL, prefix + size);
        }
    }
    if (head != NULL) {
        put(put(PyBytes_AS_STRING(head), (const char *)words, prefix), PyBytes_AS_STRING(data), size);
        parts = PyTuple_Pack(2, head, body);
    }
    Py_XDECREF(head);
    Py_XDECREF(body);
    Py_DECREF(data);
    return parts;
}

PyDoc_STRVAR(is_ordinary_doc,
             "is_ordinary($module, wire, max_frame, max_header, /)\n"
             "--\n"
             "\n"
             "Whether the bytes are one frame within the limits, and its header cannot have the member `$stream`.\n");

static PyObject *is_ordinary(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    const objs_config standard = objs_default_config();
    const char *text;
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
    if (objs_get_word(&standard, (const uint8_t *)text) != (uint64_t)size || size > limits[0] || header > limits[1] || header > size - 8) {
        Py_RETURN_FALSE;
    }
    return PyBool_FromLong(!may_have_stream_member(text + 8, header));
}

PyMethodDef encode_methods[] = {
    {"encode_frame", (PyCFunction)(void (*)(void))encode_frame, METH_FASTCALL | METH_KEYWORDS, encode_frame_doc},
    {"encode_frame_parts", (PyCFunction)(void (*)(void))encode_frame_parts, METH_FASTCALL | METH_KEYWORDS,
     encode_frame_parts_doc},
    {"encode_data_frame", (PyCFunction)(void (*)(void))encode_data_frame, METH_FASTCALL | METH_KEYWORDS,
     encode_data_frame_doc},
    {"is_ordinary", (PyCFunction)(void (*)(void))is_ordinary, METH_FASTCALL, is_ordinary_doc},
    {NULL, NULL, 0, NULL},
};
