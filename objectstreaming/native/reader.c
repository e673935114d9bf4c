/* Reader: what protocol.Reader is in Python, the base class of StreamDecoder.
 *
 * A plain data frame becomes a message without a Frame, and where `_plain` is one of ours, without bytes objects that are not
 * part of the message: it is shown where header and payload lie in the chunk. Every other frame is passed to `_look`.
 */
#include "native.h"

typedef struct {
    PyObject_HEAD
    FrameDecoder *frames;
    PyObject *plain;   /* NULL or None: `_look` sees every frame */
    PyObject *failure; /* NULL or None: it has not failed */
} Reader;

/* Whether it can go on; if not, an error is set. */
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

/* The message that `plain` makes of a data frame; NULL without an error if it makes none. Bytes objects that were made for it
 * are left to the caller, to use and to release. */
static PyObject *reader_try_plain(Reader *self, State *state, const Span *header, const Span *payload,
                                  PyObject **header_bytes, PyObject **payload_bytes) {
    PyObject *plain = self->plain, *message = NULL;
    if (plain == NULL || plain == Py_None || objs_is_control((const uint8_t *)header->text, (size_t)header->size)) {
        return NULL;
    }
    Py_INCREF(plain); /* what it calls may replace it */
    if (Py_IS_TYPE(plain, state->plain_json) || Py_IS_TYPE(plain, state->tal_plain)) {
        message = ((Plain *)plain)->decode(state, plain, header, payload);
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

/* The next message; NULL without an error at the end. The caller holds references to the reader and its decoder. */
static PyObject *reader_step(Reader *self, FrameDecoder *decoder) {
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
            PyObject *chunk = Py_NewRef(header.owner); /* `plain` may feed the decoder another chunk */
            decoder_pass(decoder, &header, &payload);
            message = reader_try_plain(self, decoder->state, &header, &payload, &header_bytes, &payload_bytes);
            if (message == NULL && !PyErr_Occurred()) {
                if (payload_bytes != NULL || copy_spans(&header, &payload, &header_bytes, &payload_bytes) == 0) {
                    frame = new_frame(decoder->state->frame, Py_NewRef(header_bytes), Py_NewRef(payload_bytes), index,
                                      offset);
                }
                if (frame == NULL) {
                    decoder_fail(decoder); /* its bytes are gone: the stream must not look whole */
                }
            }
            Py_DECREF(chunk);
        } else {
            frame = (Frame *)decoder_next(decoder);
            if (frame != NULL) {
                header = span_of(frame->header_bytes);
                payload = span_of(frame->payload);
                message = reader_try_plain(self, decoder->state, &header, &payload, &header_bytes, &payload_bytes);
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

/* As a generator does (PEP 479): a StopIteration from a decoder would look like the end of the messages. */
static void refuse_stop_iteration(void) {
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_StopIteration)) {
        PyObject *cause = take_error(), *error;
        PyErr_SetString(PyExc_RuntimeError, "a decoder raised StopIteration");
        error = take_error();
        PyException_SetCause(error, cause);
        give_error(error);
    }
}

static PyObject *reader_next(PyObject *self) {
    FrameDecoder *decoder = (FrameDecoder *)Py_NewRef(((Reader *)self)->frames);
    PyObject *message = reader_step((Reader *)self, decoder);
    Py_DECREF(decoder);
    if (message == NULL) {
        refuse_stop_iteration();
    }
    return message;
}

PyDoc_STRVAR(feed_doc,
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
        return more < 0 ? NULL : Py_NewRef(self->frames->state->no_items);
    }
    messages = new_items(self->frames->state, (PyObject *)self, reader_next);
    if (messages == NULL) {
        decoder_fail(self->frames); /* the chunk has been taken: fed again, its bytes would come twice */
    }
    return messages;
}

PyDoc_STRVAR(next_message_doc,
             "next_message($self, /)\n"
             "--\n"
             "\n"
             "The next message, or `None` if more bytes are needed. Raises as iteration does.\n");

static PyObject *Reader_next_message(Reader *self, PyObject *Py_UNUSED(ignored)) {
    PyObject *message;
    if (!reader_ready(self)) {
        return NULL;
    }
    message = reader_next((PyObject *)self);
    if (message == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return message;
}

static int Reader_init(Reader *self, PyObject *args, PyObject *kwargs) {
    State *state = state_of(Py_TYPE(self));
    PyObject *frames;
    (void)kwargs;
    if (state == NULL || !PyArg_ParseTuple(args, "O!:Reader", state->decoder, &frames)) {
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
             "protocol.Reader in C; documented there.\n");

static PyMemberDef Reader_members[] = {
    {"_frames", T_OBJECT, offsetof(Reader, frames), READONLY, NULL},
    {"_plain", T_OBJECT, offsetof(Reader, plain), 0, NULL},
    {"_failure", T_OBJECT, offsetof(Reader, failure), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef Reader_methods[] = {
    {"feed", (PyCFunction)Reader_feed, METH_O, feed_doc},
    {"next_message", (PyCFunction)Reader_next_message, METH_NOARGS, next_message_doc},
    {"__class_getitem__", (PyCFunction)Py_GenericAlias, METH_O | METH_CLASS, NULL}, /* the Python one is generic */
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

PyType_Spec Reader_spec = {
    .name = "objectstreaming._native.Reader",
    .basicsize = sizeof(Reader),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = Reader_slots,
};

