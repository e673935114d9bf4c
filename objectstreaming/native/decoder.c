/* FrameDecoder: what frames.FrameDecoder is in Python.
 *
 * A frame that lies whole in one chunk is cut out of it. Of a frame that continues in a later chunk, the partial frame, the
 * pieces are kept in `words`, `header` and `payload` until it is whole. Nothing is allocated because a length word claims it.
 *
 * feed() itself takes in a chunk that completes nothing, and returns the shared iterator that has ended. A chunk with a wrong
 * length is left to the iteration, because there the Python decoder raises its error.
 *
 * Python code can run in between where an error is made, and where the garbage collector may start: when an iterator is made,
 * which is the last thing feed() does. At these places the decoder's state is complete and what was cut is referenced.
 */
#include "native.h"

static void partial_clear(FrameDecoder *self) {
    self->have = self->judged = 0;
    self->total = self->header_size = 0;
    growing_clear(&self->header);
    payload_clear(&self->payload);
}

/* Releases everything that is held, so that a failed decoder takes no memory. */
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
    partial_clear(self);
}

/* Bytes of the partial frame so far. */
static Py_ssize_t partial_bytes(const FrameDecoder *self) {
    return (Py_ssize_t)self->have + self->header.have + self->payload.have;
}

void decoder_fail(FrameDecoder *self) {
    PyObject *error = take_error();
    decoder_empty(self);
    Py_XSETREF(self->error, Py_XNewRef(error));
    give_error(error);
}

static PyObject *fail_with(FrameDecoder *self, PyObject *type, PyObject *message, uint64_t offset) {
    PyObject *error = new_frame_error(type, message, (long long)self->index, (long long)offset);
    if (error != NULL) {
        PyErr_SetObject(type, error);
        Py_DECREF(error);
        decoder_fail(self);
    }
    return NULL;
}

/* The likely cause of a bad length word, for the end of its message; empty if there is none to suggest. `head`: up to four
 * bytes from the start of the stream. */
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
    return fail_with(self, type, message, offset);
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
    message = PyUnicode_FromFormat("the stream ended inside a frame, after %zd%s bytes%U", partial_bytes(self), of,
                                   cause);
    Py_DECREF(cause);
    return fail_with(self, self->state->truncated_frame, message, self->offset);
}

/* Adds `size` bytes of a chunk to the partial frame, header or payload, not more than are missing: 0, or -1 if there is no
 * memory for them. */
static int partial_take(FrameDecoder *self, PyObject *chunk, const uint8_t *data, Py_ssize_t size) {
    uint64_t missing = self->header_size - (uint64_t)self->header.have;
    Py_ssize_t part = (uint64_t)size < missing ? size : (Py_ssize_t)missing;
    uint64_t want = self->total - 2 * (uint64_t)self->config.byte_length - self->header_size;
    if ((part > 0 && growing_append(&self->header, self->header_size, data, part) < 0) ||
        (size > part && payload_append(&self->payload, want, chunk, data + part, size - part) < 0)) {
        decoder_fail(self);
        return -1;
    }
    return 0;
}

/* Adds a whole chunk to the partial frame: 1 if it was added, 0, with nothing changed, if it completes the frame or has a
 * wrong length, -1 with an error set. */
static int partial_absorb(FrameDecoder *self, PyObject *chunk) {
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
    } else if (self->total - (uint64_t)partial_bytes(self) <= (uint64_t)size) {
        return 0;
    }
    if (size > taken && partial_take(self, chunk, data + taken, size - taken) < 0) {
        return -1;
    }
    return 1;
}

/* Moves bytes of the current chunk to the length words, until there are `wanted` of them: whether there are. */
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

/* Moves bytes of the current chunk to the partial frame: 1 if it is whole now, 0 if not, -1 with an error set. */
static int partial_advance(FrameDecoder *self) {
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
    missing = self->total - (uint64_t)partial_bytes(self);
    part = (uint64_t)left < missing ? left : (Py_ssize_t)missing;
    if (part > 0) {
        if (partial_take(self, self->chunk, (const uint8_t *)PyBytes_AS_STRING(self->chunk) + self->at, part) < 0) {
            return -1;
        }
        self->at += part;
    }
    return (uint64_t)part == missing;
}

/* The partial frame, which is whole. */
static PyObject *partial_frame(FrameDecoder *self) {
    PyObject *header = growing_take(&self->header), *payload;
    Frame *frame;
    if (header == NULL) {
        decoder_fail(self);
        return NULL;
    }
    payload = payload_take(&self->payload);
    frame = payload == NULL ? NULL : new_frame(self->state->frame, header, payload, self->index, self->offset);
    if (frame == NULL) {
        decoder_fail(self); /* its bytes are gone: the stream must not look whole */
        return NULL;
    }
    self->index++;
    self->offset += self->total;
    partial_clear(self);
    return (PyObject *)frame;
}

PyObject *decoder_next(FrameDecoder *self) {
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
            int done = partial_advance(self);
            if (done < 0) {
                return NULL;
            }
            if (done) {
                return partial_frame(self);
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

/* Queues a chunk. Steals it. */
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

/* A copy, because the caller may use its buffer again. New reference to exact bytes. */
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

PyDoc_STRVAR(feed_doc,
             "feed($self, chunk, /)\n"
             "--\n"
             "\n"
             "Take a chunk, and iterate over the frames that are now whole.\n"
             "\n"
             "What the iterator is not asked for stays in the decoder, for the next `feed` or `next_frame`.\n"
             "\n"
             "Raises:\n"
             "    FrameError: After the good frames: the next bytes are no frame.\n"
             "    RuntimeError: `finish` was called before.\n"
             "    TypeError: The chunk is not bytes-like.\n");

/* Whether a chunk has all of its first frame, if its length is valid. */
static int begins_whole(const FrameDecoder *self, PyObject *chunk) {
    const Py_ssize_t size = PyBytes_GET_SIZE(chunk);
    return size >= (Py_ssize_t)self->config.byte_length &&
           objs_get_word(&self->config, (const uint8_t *)PyBytes_AS_STRING(chunk)) <= (uint64_t)size;
}

int decoder_take(FrameDecoder *self, PyObject *chunk) {
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
        int absorbed = partial_absorb(self, chunk);
        if (absorbed) {
            Py_DECREF(chunk);
            return absorbed < 0 ? -1 : 0;
        }
    }
    self->chunk = chunk;
    return 1;
}

static PyObject *next_item(PyObject *self) { return decoder_next((FrameDecoder *)self); }

static PyObject *FrameDecoder_feed(FrameDecoder *self, PyObject *chunk) {
    PyObject *frames;
    int more = decoder_take(self, chunk);
    if (more <= 0) {
        return more < 0 ? NULL : Py_NewRef(self->state->no_items);
    }
    frames = new_items(self->state, (PyObject *)self, next_item);
    if (frames == NULL) {
        decoder_fail(self); /* the chunk has been taken: fed again, its bytes would come twice */
    }
    return frames;
}

PyDoc_STRVAR(next_frame_doc,
             "next_frame($self, /)\n"
             "--\n"
             "\n"
             "The next frame, or `None` if more bytes are needed. Raises as `feed` does.\n");

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
             "Say that no more bytes will come.\n"
             "\n"
             "Whole frames not yet asked for can still be read with `next_frame`, which then raises in its turn.\n"
             "\n"
             "Raises:\n"
             "    TruncatedFrame: A frame has begun and is not whole.\n");

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
    return PyLong_FromUnsignedLongLong(peeked + (uint64_t)partial_bytes(self) + (uint64_t)chunk_left(self) +
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

/* A limit beyond 64 bits is no limit: no length word can say more. */
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
             "(2, 41, 0)\n"
             "\n"
             "Args:\n"
             "    limits: the largest frame and header; by default 16 MiB and 64 KiB.\n"
             "    layout: of the length words; by default the wire's.\n");

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

PyType_Spec FrameDecoder_spec = {
    .name = "objectstreaming.frames.FrameDecoder",
    .basicsize = sizeof(FrameDecoder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = FrameDecoder_slots,
};
