/* Frame: what frames.Frame is in Python. The garbage collector does not track frames, as it does not track the Python ones, so
 * making one runs no Python code. */
#include "native.h"

PyDoc_STRVAR(Frame_doc,
             "Frame(header_bytes, payload=b'', index=0, offset=0)\n"
             "--\n"
             "\n"
             "One frame. `header` is parsed on first use and kept.\n"
             "\n"
             "Two frames are equal if their bytes are. `bytes(frame)` is the frame in the standard layout.\n"
             "\n"
             ">>> frame = Frame(b'{\"a\": 1}', b\"xy\")\n"
             ">>> frame.header, frame.payload, len(bytes(frame))\n"
             "({'a': 1}, b'xy', 18)\n"
             "\n"
             "Args:\n"
             "    header_bytes: the header as it was on the wire.\n"
             "    payload: the payload as it was on the wire.\n"
             "    index: the number of the frame in its stream, from 0.\n"
             "    offset: the byte of the stream at which it began.\n");

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
    reason = text_of_invalid_json(state);
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
    Py_buffer header, payload;
    PyObject *wire;
    char *out;
    if (PyObject_GetBuffer(self->header_bytes, &header, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    if (PyObject_GetBuffer(self->payload, &payload, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&header);
        return NULL;
    }
    wire = new_wire(NULL, header.len, payload.len, &out);
    if (wire != NULL) {
        put(put(out, header.buf, header.len), payload.buf, payload.len);
    } else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_OverflowError, "a frame does not fit a length word of 4 bytes");
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
     "The header as a dict.\n\nRaises:\n    InvalidHeader: It is not one strict JSON object.", NULL},
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

PyType_Spec Frame_spec = {
    .name = "objectstreaming.frames.Frame",
    .basicsize = sizeof(Frame),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = Frame_slots,
};
