/* What the sources of objectstreaming._native share.
 *
 *     module.c       the module: its state, types and functions
 *     errors.c       exceptions
 *     frame.c        Frame
 *     encode.c       encode_frame, encode_frame_parts, encode_data_frame, is_ordinary
 *     json.c         JSON by msgspec, as strict as strict_json.py; JsonEncoder, PlainJson
 *     writer.c       text that is put together before its size is known
 *     original.c     the calls of AnbJsonStreamCoder: JSON as the standard library writes and reads it
 *     payload.c      bytes that arrive in pieces
 *     decoder.c      FrameDecoder
 *     items.c        the iterator that feed() returns
 *     reader.c       Reader, the base class of StreamDecoder
 *     tal.c          the fast paths of wav_streaming: a TALAudio and its PCM to a frame
 *     tal_decode.c   and back
 *
 * Everything here has a Python version of the same behaviour: same results, errors, messages, indexes and offsets. The tests
 * in tests/codec compare the two. Where a fast path is not sure it returns None, having changed nothing, and the caller
 * takes the Python version, which checks everything and reports the error.
 *
 * Length words, control frames and header bytes are judged by the functions of clients/c/objectstreaming.h, so the same checks
 * hold in the C client and here. The decoder itself is written twice: the one here holds Python objects.
 */
#ifndef OBJECTSTREAMING_NATIVE_H
#define OBJECTSTREAMING_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "../../clients/c/objectstreaming.h"

#if defined(__GNUC__)
#pragma GCC visibility push(hidden) /* shared between these files only; calls stay direct */
#endif

/* ---------------------------------------------------------------------------------------------- module.c */

/* Only references, so that they can be visited and cleared as an array. The strings are interned names: making a new string
 * for every look-up would fill the types' attribute cache. */
typedef struct {
    PyTypeObject *frame;
    PyTypeObject *decoder;
    PyTypeObject *items;
    PyTypeObject *reader;
    PyTypeObject *window_type;
    PyTypeObject *plain_json;
    PyTypeObject *json_encoder;
    PyTypeObject *tal_codec;
    PyTypeObject *tal_order;
    PyTypeObject *tal_plain;
    PyTypeObject *tal_encoder;
    PyObject *no_items; /* an iterator that has ended: what feed() returns when a chunk completes no frame */
    PyObject *window;   /* one that is not in use, or NULL */
    PyObject *invalid_length;
    PyObject *frame_too_large;
    PyObject *header_too_large;
    PyObject *invalid_header;
    PyObject *truncated_frame;
    PyObject *encode_error;
    PyObject *invalid_json;
    PyObject *msgspec_error;
    PyObject *loads_object; /* of strict_json */
    PyObject *dumps;        /* of strict_json */
    PyObject *check_data_header; /* of strict_json */
    PyObject *encode;       /* msgspec's, for any value */
    PyObject *decode_any;   /* msgspec's, for any value: it reads every string, so it checks all UTF-8 */
    PyObject *decode_object; /* the same, for JSON objects */
    PyObject *mapping;      /* collections.abc.Mapping */
    PyObject *structure;    /* msgspec.Struct: known not to be a Mapping, and asking the ABC takes longer than encoding */
    PyObject *name_frame;
    PyObject *name_header;
    PyObject *name_byte_length;
    PyObject *name_byte_order;
    PyObject *name_cast;
    PyObject *name_tobytes;
    PyObject *name_b;
    PyObject *name_look;
    PyObject *name_encode_checked;
    PyObject *name_codec;
} State;

extern struct PyModuleDef module_definition;

/* The state of the module that defines `type` or a base of it; NULL with an error set if there is none. */
State *state_of(PyTypeObject *type);

/* ---------------------------------------------------------------------------------------------- errors.c */

/* Takes the current error away. New reference. PyErr_GetRaisedException of Python 3.12. */
PyObject *take_error(void);

/* Makes an error the current one. Steals it. */
void give_error(PyObject *error);

/* Raises type(message). Steals message, which may be NULL with an error set. */
void raise_message(PyObject *type, PyObject *message);

/* Raises an error that has been raised before, without its old traceback. Returns NULL. */
PyObject *raise_again(PyObject *error);

/* type(message, index, offset), a FrameError. Steals message, which may be NULL with an error set. */
PyObject *new_frame_error(PyObject *type, PyObject *message, long long index, long long offset);

/* If the current error is an InvalidJSON, takes it away and returns its text. Else NULL, with an error set. */
PyObject *text_of_invalid_json(State *state);

/* Whether the current error is msgspec's way to refuse a value, for which strict_json has the better message. */
int is_refusal(State *state);

/* ---------------------------------------------------------------------------------------------- spans of bytes */

/* Bytes within a bytes object. `owner` is borrowed unless said otherwise. */
typedef struct {
    PyObject *owner;
    const char *text;
    Py_ssize_t size;
} Span;

static inline Span span_of(PyObject *bytes) {
    Span span = {bytes, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes)};
    return span;
}

/* New reference: the owner if the span is all of it, else a copy. */
static inline PyObject *bytes_of(const Span *span) {
    return span->size == PyBytes_GET_SIZE(span->owner) ? Py_NewRef(span->owner)
                                                       : PyBytes_FromStringAndSize(span->text, span->size);
}

/* Where the next byte goes. */
static inline char *put(char *out, const char *text, Py_ssize_t size) {
    memcpy(out, text, (size_t)size);
    return out + size;
}

/* ---------------------------------------------------------------------------------------------- frame.c */

typedef struct {
    PyObject_HEAD
    PyObject *header_bytes;
    PyObject *payload;
    PyObject *header; /* NULL until it is asked for */
    long long index;
    long long offset;
} Frame;

extern PyType_Spec Frame_spec;

/* Steals header_bytes and payload, also when it fails. */
static inline Frame *new_frame(PyTypeObject *type, PyObject *header_bytes, PyObject *payload, uint64_t index,
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

/* ---------------------------------------------------------------------------------------------- encode.c */

/* Reads a Layout's attributes into `config`: 0, or -1 with an error set. */
int read_layout(State *state, PyObject *layout, objs_config *config);

/* A bytes object with room for a frame; its length words are written, and `*out` is where the header goes. `config` NULL: the
 * standard layout. NULL without an error if the lengths do not fit their words. */
static inline PyObject *new_wire(const objs_config *config, Py_ssize_t header, Py_ssize_t payload, char **out) {
    const Py_ssize_t prefix = config == NULL ? 8 : 2 * (Py_ssize_t)config->byte_length;
    uint8_t words[16];
    PyObject *wire;
    *out = NULL;
    if (objs_put_lengths(config, words, (uint64_t)header, (uint64_t)payload) != OBJS_OK) {
        return NULL;
    }
    if (payload > PY_SSIZE_T_MAX - prefix - header) {
        return PyErr_NoMemory();
    }
    wire = PyBytes_FromStringAndSize(NULL, prefix + header + payload);
    if (wire != NULL) {
        *out = put(PyBytes_AS_STRING(wire), (const char *)words, prefix);
    }
    return wire;
}

/* Whether "$stream" stands somewhere in header bytes. No encoder escapes a character of it. */
int spells_stream(const char *header, Py_ssize_t size);

/* Whether header bytes of any origin may have the member $stream: it stands there, or there is an escape that can spell it. */
int may_have_stream_member(const char *header, Py_ssize_t size);

extern PyMethodDef encode_methods[];

/* ---------------------------------------------------------------------------------------------- json.c */

/* A PlainDecoder of Python: called with the bytes of a header and of a payload, it returns the message, or None if there is more
 * to the frame. Both types of it begin so; the reader calls `decode`, which returns NULL without an error for None. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc call; /* plain_call */
    PyObject *(*decode)(State *state, PyObject *self, const Span *header, const Span *payload);
} Plain;

PyObject *plain_call(PyObject *plain, PyObject *const *args, size_t flags, PyObject *keywords);

/* (header, payload). Steals both. */
PyObject *new_message(PyObject *header, PyObject *payload);

extern PyType_Spec Window_spec, PlainJson_spec, JsonEncoder_spec;

/* Calls `_encode_checked` of a coder whose fast path does not take what is to be encoded. */
PyObject *call_checked(State *state, PyObject *coder, PyObject *const *args, Py_ssize_t count, PyObject *keywords);


/* strict_json.loads_object and strict_json.dumps, faster for what msgspec alone is strict enough for. */
PyObject *loads_object(State *state, PyObject *data);
PyObject *dumps(State *state, PyObject *value);

/* Whether msgspec is as strict as strict_json for these bytes: they are UTF-8 and have too few brackets to be too deep. */
int is_plain(const char *text, Py_ssize_t size);

/* Calls both decoders with the bytes of a header and of a payload: 1, and two new references; 0 if msgspec is not enough for
 * them; -1 with an error set. `*keeps` is set if what is decoded keeps what it was decoded from, as msgspec.Raw does. */
int decode_both(State *state, PyObject *decode_header, PyObject *decode_payload, int *keeps, const Span *header,
                const Span *payload, PyObject **header_value, PyObject **payload_value);

/* ---------------------------------------------------------------------------------------------- writer.c */

typedef struct {
    char *at;
    Py_ssize_t used, room;
    int lone_surrogate; /* whether a string had one */
    char local[1024];
} Writer;

void writer_init(Writer *self);
void writer_free(Writer *self);

/* Makes room for `size` more bytes: where they go, or NULL if there is no memory. */
char *writer_grow(Writer *self, Py_ssize_t size);

/* Where the next bytes go, if there is room for `size` of them or can be made; else NULL. */
static inline char *writer_room(Writer *self, Py_ssize_t size) {
    return size <= self->room - self->used ? self->at + self->used : writer_grow(self, size);
}

/* Each of these returns whether it was written. No error is ever set. */

static inline int write_text(Writer *self, const char *text, Py_ssize_t size) {
    char *out = writer_room(self, size);
    if (out == NULL) {
        return 0;
    }
    put(out, text, size);
    self->used += size;
    return 1;
}

#define WRITE(self, literal) write_text(self, literal, (Py_ssize_t)sizeof(literal) - 1)

int write_integer(Writer *self, long long value);

/* A str, in quotes and ASCII. */
int write_string(Writer *self, PyObject *string);

/* ---------------------------------------------------------------------------------------------- original.c */

extern PyMethodDef original_methods[];

/* Whether an argument `byte_length` is exactly the standard layout's. */
int is_standard_length(PyObject *byte_length);

/* Whether `data`, exact bytes, begins with a whole, valid frame; if so, where its header and its payload are. */
int find_frame(PyObject *data, Span *header, Span *payload);

/* The bytes behind a span. New reference. */
PyObject *rest_of(const Span *last);

/* ---------------------------------------------------------------------------------------------- payload.c */

/* A bytes object that is being filled: `have` bytes have come, there is room for `room`. */
typedef struct {
    PyObject *bytes;
    Py_ssize_t have;
    Py_ssize_t room;
} Growing;

/* Appends: 0, or -1 with an error set. The room at most doubles, and never exceeds `want`, which is only a claim. */
int growing_append(Growing *self, uint64_t want, const uint8_t *data, Py_ssize_t size);

/* The finished object, which is taken out. New reference. */
PyObject *growing_take(Growing *self);

void growing_clear(Growing *self);

/* A payload that is being filled: the chunks it came in, small ones gathered. They are copied once, when all are there, into
 * a bytes object of the right size. One that grew would touch up to twice the memory, and page faults are most of what a
 * large payload costs. */
typedef struct {
    Span *parts; /* each with a reference of its own */
    Py_ssize_t count, room;
    Growing gathered; /* what follows the last part */
    Py_ssize_t have;
} Payload;

/* Adds `size` bytes of `chunk` to what will be `want`, the claim: 0, or -1 with an error set. */
int payload_append(Payload *self, uint64_t want, PyObject *chunk, const uint8_t *data, Py_ssize_t size);

/* The finished object; the parts are released. New reference. */
PyObject *payload_take(Payload *self);

void payload_clear(Payload *self);

/* ---------------------------------------------------------------------------------------------- decoder.c */

typedef struct {
    PyObject_HEAD
    State *state;
    objs_config config;
    uint64_t index;
    uint64_t offset; /* of the next frame, from the start of the stream */
    PyObject *chunk; /* the chunk that is being cut, or NULL, and where in it the next frame begins */
    Py_ssize_t at;
    PyObject **waiting; /* chunks fed before `chunk` was used up: waiting[first] and `count` from there */
    Py_ssize_t first, count, room;
    Py_ssize_t waiting_bytes;
    /* A frame that has begun in one chunk and goes on in another. */
    uint8_t words[16];
    unsigned have;   /* bytes of its length words */
    unsigned judged; /* length words found valid */
    uint64_t total;
    uint64_t header_size;
    Growing header;
    Payload payload;
    Frame *peeked;
    PyObject *error;
    int finished;
} FrameDecoder;

extern PyType_Spec FrameDecoder_spec;

/* Takes a chunk: 1 if frames may now be whole, 0 if none is, -1 with an error set. */
int decoder_take(FrameDecoder *self, PyObject *chunk);

/* The next frame; NULL without an error if more bytes are needed. */
PyObject *decoder_next(FrameDecoder *self);

/* Fails for good with the current error, which stays current. */
void decoder_fail(FrameDecoder *self);

static inline Py_ssize_t chunk_left(const FrameDecoder *self) {
    return self->chunk == NULL ? 0 : PyBytes_GET_SIZE(self->chunk) - self->at;
}

/* Whether the next frame lies whole in the chunk and is valid; if so, where its header and its payload are. */
static inline int decoder_find(const FrameDecoder *self, Span *header, Span *payload) {
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

/* Moves past the frame that was found. */
static inline void decoder_pass(FrameDecoder *self, const Span *header, const Span *payload) {
    const Py_ssize_t total = 2 * (Py_ssize_t)self->config.byte_length + header->size + payload->size;
    self->at += total;
    self->index++;
    self->offset += (uint64_t)total;
}

/* Two new references to the bytes of a frame: 0, or -1 with an error set. */
static inline int copy_spans(const Span *header, const Span *payload, PyObject **header_bytes, PyObject **payload_bytes) {
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

/* ---------------------------------------------------------------------------------------------- items.c */

extern PyType_Spec Items_spec;

/* An iterator over what `next` returns for `owner`, until that is NULL. */
PyObject *new_items(State *state, PyObject *owner, PyObject *(*next)(PyObject *owner));

/* ---------------------------------------------------------------------------------------------- reader.c */

extern PyType_Spec Reader_spec;

/* ---------------------------------------------------------------------------------------------- tal.c, tal_decode.c */

extern PyType_Spec TalCodec_spec, TalEncoder_spec, TalOrder_spec, TalPlain_spec;

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
