/* The tal coder's short cuts in C: a frame from a TALAudio and its PCM, and back, for one stream.
 *
 * Each does the whole of the work for what nearly every frame is, and gives None, having changed nothing, for any other:
 * tal.py then looks at it, and knows how to say what is wrong. tests/codec/test_native_tal.py holds the two against each other.
 *
 * A TALAudio is read where msgspec keeps its members, at the offsets that the class's own descriptors name.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "../clients/c/objectstreaming.h"

/* The limits are the C client's own. Its reader and writer are not called: they keep texts as JSON, escapes and all. */
#define MAX_SAMPLE_RATE OBJS_TAL_MAX_RATE
#define MAX_CHANNELS OBJS_TAL_MAX_CHANNELS
#define MAX_ORDER ((long long)OBJS_TAL_MAX_ORDER)

enum { AUDIO_TYPE, BIT_DEPTH, SAMPLE_RATE, CHANNELS, AUDIO_FORMAT, QUESTION, ANSWER, URL, SIGN, ORDER, EXTRA, MEMBERS };

static const char *const member_names[MEMBERS] = {"audioType", "bitDepth", "sampleRate", "channels", "audioFormat", "question",
                                                  "answer",    "url",      "sign",       "order",    "_extra"};

typedef struct {
    PyTypeObject *codec;
    PyTypeObject *order;
    PyTypeObject *plain;
    PyObject *msgspec_error;
} State;

static struct PyModuleDef module_definition;

static State *state_of(PyTypeObject *type) {
    PyObject *module = PyType_GetModuleByDef(type, &module_definition);
    return module == NULL ? NULL : (State *)PyModule_GetState(module);
}

/* ----------------------------------------------------------------------------------------------------- a TALAudio, read */

typedef struct {
    PyObject_HEAD
    PyTypeObject *type; /* TALAudio */
    PyObject *encode;   /* msgspec's own, of and to JSON */
    PyObject *decode;
    PyObject *unset;
    PyObject *copy;  /* TALAudio.__copy__, */
    PyObject *blank; /* and what is copied: one with its defaults */
    PyObject *int32;
    Py_ssize_t offsets[MEMBERS];
} Codec;

typedef struct {
    int bit_depth;
    long long sample_rate, channels, sign, order;
    PyObject *question, *answer, *url; /* borrowed, each exactly a str */
} Tal;

static PyObject *member(const Codec *self, PyObject *tal, int which) {
    return *(PyObject **)((char *)tal + self->offsets[which]);
}

/* An int, no bool and no subclass, from `low` to `high`. */
static int read_integer(PyObject *value, long long low, long long high, long long *into) {
    int overflow;
    if (value == NULL || !PyLong_CheckExact(value)) {
        return 0;
    }
    *into = PyLong_AsLongLongAndOverflow(value, &overflow);
    return !overflow && low <= *into && *into <= high;
}

static int is_text(PyObject *value, const char *text, Py_ssize_t size) {
    return value != NULL && PyUnicode_CheckExact(value) && PyUnicode_IS_COMPACT_ASCII(value) &&
           PyUnicode_GET_LENGTH(value) == size && memcmp(PyUnicode_DATA(value), text, (size_t)size) == 0;
}

static int read_string(PyObject *value, PyObject **into) {
    *into = value;
    return value != NULL && PyUnicode_CheckExact(value);
}

/* Whether the members that are not msgspec's to judge, when it decodes, are as SPEC section 4.2 has them, and there is
 * nothing beside the ten. No error is ever set. */
static int read_received(const Codec *self, PyObject *tal, Tal *into) {
    long long depth;
    PyObject *kind;
    if (!Py_IS_TYPE(tal, self->type) || member(self, tal, EXTRA) != self->unset) {
        return 0;
    }
    kind = member(self, tal, AUDIO_TYPE);
    if (!read_integer(member(self, tal, BIT_DEPTH), 16, 32, &depth) ||
        !((depth == 16 && is_text(kind, "int16", 5)) || (depth == 32 && is_text(kind, "int32", 5)))) {
        return 0;
    }
    into->bit_depth = (int)depth;
    return read_integer(member(self, tal, CHANNELS), 1, MAX_CHANNELS, &into->channels) &&
           read_integer(member(self, tal, SIGN), 1, 3, &into->sign) &&
           read_integer(member(self, tal, ORDER), 1, MAX_ORDER, &into->order);
}

/* Whether all members are so. */
static int read_tal(const Codec *self, PyObject *tal, Tal *into) {
    return read_received(self, tal, into) &&
           read_integer(member(self, tal, SAMPLE_RATE), 1, MAX_SAMPLE_RATE, &into->sample_rate) &&
           is_text(member(self, tal, AUDIO_FORMAT), "wav", 3) &&
           read_string(member(self, tal, QUESTION), &into->question) &&
           read_string(member(self, tal, ANSWER), &into->answer) && read_string(member(self, tal, URL), &into->url);
}

static int whole_samples(const Tal *tal, Py_ssize_t size) { return size % (tal->bit_depth / 8 * tal->channels) == 0; }

/* ------------------------------------------------------------------------------------------------------------- encoding */

/* A string's UTF-8: 1 if JSON writes it as it is, 0 if something in it is to be escaped; -1 if it has none, and then
 * whatever else was borrowed may be gone, for to make that error may start the collector, and so run any code. */
static int plain_text(PyObject *string, const char **text, Py_ssize_t *size) {
    Py_ssize_t n;
    *text = PyUnicode_AsUTF8AndSize(string, size);
    if (*text == NULL) {
        PyErr_Clear(); /* a lone surrogate: tal.py will say so */
        return -1;
    }
    for (n = 0; n < *size; n++) {
        const unsigned char byte = (unsigned char)(*text)[n];
        if (byte < 0x20 || byte == '"' || byte == '\\') {
            return 0;
        }
    }
    return 1;
}

static char *put(char *out, const char *text, Py_ssize_t size) {
    memcpy(out, text, (size_t)size);
    return out + size;
}

#define PUT(out, literal) put(out, literal, (Py_ssize_t)sizeof(literal) - 1)

static char *put_integer(char *out, long long value) {
    char digits[20];
    int n = sizeof digits;
    do {
        digits[--n] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return put(out, digits + n, (Py_ssize_t)sizeof digits - n);
}

/* Room for a frame's bytes, its length words in it and the PCM at its end; `*out` is where its header goes. NULL without an
 * error if the lengths do not fit their words. */
static PyObject *frame_with_room(Py_ssize_t header, PyObject *pcm, char **out) {
    const objs_config standard = objs_default_config();
    const Py_ssize_t size = PyBytes_GET_SIZE(pcm);
    PyObject *wire;
    uint8_t words[8];
    if (objs_put_lengths(&standard, words, (uint64_t)header, (uint64_t)size) != OBJS_OK) {
        return NULL;
    }
    wire = PyBytes_FromStringAndSize(NULL, 8 + header + size);
    if (wire != NULL) {
        *out = put(PyBytes_AS_STRING(wire), (const char *)words, 8);
        put(*out + header, PyBytes_AS_STRING(pcm), size);
    }
    return wire;
}

/* The header as msgspec writes it, where a string has something to escape. */
static PyObject *encode_escaped(Codec *self, PyObject *tal, PyObject *pcm) {
    PyObject *header = PyObject_CallOneArg(self->encode, tal), *wire = NULL;
    char *out;
    if (header == NULL) {
        if (PyErr_ExceptionMatches(PyExc_Exception)) {
            PyErr_Clear(); /* a lone surrogate: tal.py will say so */
        }
        return NULL;
    }
    if (PyBytes_CheckExact(header)) {
        wire = frame_with_room(PyBytes_GET_SIZE(header), pcm, &out);
        if (wire != NULL) {
            put(out, PyBytes_AS_STRING(header), PyBytes_GET_SIZE(header));
        }
    }
    Py_DECREF(header);
    return wire;
}

#define ANSWER_NAME "\",\"answer\":\""
#define URL_NAME "\",\"url\":\""

/* The header written here, byte for byte as msgspec writes it. */
static PyObject *encode_tal(Codec *self, PyObject *object, const Tal *tal, PyObject *pcm) {
    char first[192], last[64], *first_end = first, *last_end = last, *out;
    Py_ssize_t question_size, answer_size, url_size, first_size, last_size;
    const char *question, *answer, *url;
    PyObject *wire;
    int plain = plain_text(tal->question, &question, &question_size);
    if (plain > 0) {
        plain = plain_text(tal->answer, &answer, &answer_size);
    }
    if (plain > 0) {
        plain = plain_text(tal->url, &url, &url_size);
    }
    if (plain <= 0) {
        return plain < 0 ? NULL : encode_escaped(self, object, pcm);
    }
    first_end = tal->bit_depth == 16 ? PUT(first_end, "{\"audioType\":\"int16\",\"bitDepth\":16,\"sampleRate\":")
                                     : PUT(first_end, "{\"audioType\":\"int32\",\"bitDepth\":32,\"sampleRate\":");
    first_end = put_integer(first_end, tal->sample_rate);
    first_end = PUT(first_end, ",\"channels\":");
    first_end = put_integer(first_end, tal->channels);
    first_end = PUT(first_end, ",\"audioFormat\":\"wav\",\"question\":\"");
    last_end = PUT(last_end, "\",\"sign\":");
    last_end = put_integer(last_end, tal->sign);
    last_end = PUT(last_end, ",\"order\":");
    last_end = put_integer(last_end, tal->order);
    last_end = PUT(last_end, "}");
    first_size = first_end - first;
    last_size = last_end - last;
    wire = frame_with_room(first_size + question_size + (Py_ssize_t)sizeof ANSWER_NAME - 1 + answer_size +
                               (Py_ssize_t)sizeof URL_NAME - 1 + url_size + last_size,
                           pcm, &out);
    if (wire != NULL) {
        out = put(out, first, first_size);
        out = put(out, question, question_size);
        out = PUT(out, ANSWER_NAME);
        out = put(out, answer, answer_size);
        out = PUT(out, URL_NAME);
        out = put(out, url, url_size);
        put(out, last, last_size);
    }
    return wire;
}

PyDoc_STRVAR(encode_doc,
             "encode($self, tal, pcm, /)\n"
             "--\n"
             "\n"
             "A frame, or `None` if there is more to say of it.\n");

static PyObject *Codec_encode(Codec *self, PyObject *const *args, Py_ssize_t count) {
    PyObject *wire = NULL;
    Tal tal;
    if (count != 2) {
        PyErr_Format(PyExc_TypeError, "encode() takes 2 positional arguments but %zd were given", count);
        return NULL;
    }
    if (PyBytes_CheckExact(args[1]) && read_tal(self, args[0], &tal) && whole_samples(&tal, PyBytes_GET_SIZE(args[1]))) {
        wire = encode_tal(self, args[0], &tal, args[1]);
    }
    if (wire == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return wire;
}

/* An attribute by a name that is interned: a new string each time would stay in the types' lookup cache. */
static PyObject *attribute(PyObject *object, const char *name) {
    PyObject *interned = PyUnicode_InternFromString(name), *value;
    if (interned == NULL) {
        return NULL;
    }
    value = PyObject_GetAttr(object, interned);
    Py_DECREF(interned);
    return value;
}

static PyObject *Codec_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *tal, *encode, *decode, *unset;
    Codec *self;
    int n;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "O!OOO:Codec", &PyType_Type, &tal, &encode, &decode, &unset)) {
        return NULL;
    }
    self = (Codec *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->type = (PyTypeObject *)Py_NewRef(tal);
    self->encode = Py_NewRef(encode);
    self->decode = Py_NewRef(decode);
    self->unset = Py_NewRef(unset);
    self->copy = attribute(tal, "__copy__");
    self->blank = PyObject_CallFunction(decode, "y", "{}");
    self->int32 = PyUnicode_InternFromString("int32");
    if (self->copy == NULL || self->blank == NULL || self->int32 == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    if (!Py_IS_TYPE(self->blank, self->type)) {
        PyErr_Format(PyExc_TypeError, "decode is of %R, not of %R", Py_TYPE(self->blank), tal);
        Py_DECREF(self);
        return NULL;
    }
    for (n = 0; n < MEMBERS; n++) {
        PyObject *descriptor = attribute(tal, member_names[n]);
        if (descriptor != NULL && Py_IS_TYPE(descriptor, &PyMemberDescr_Type) &&
            PyType_IsSubtype((PyTypeObject *)tal, ((PyDescrObject *)descriptor)->d_type) &&
            ((PyMemberDescrObject *)descriptor)->d_member->type == T_OBJECT_EX) {
            self->offsets[n] = ((PyMemberDescrObject *)descriptor)->d_member->offset;
            Py_DECREF(descriptor);
        } else {
            if (descriptor != NULL) {
                PyErr_Format(PyExc_TypeError, "%s is not kept in a slot, but %R", member_names[n], descriptor);
                Py_DECREF(descriptor);
            }
            Py_DECREF(self);
            return NULL;
        }
    }
    return (PyObject *)self;
}

static int Codec_traverse(Codec *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->type);
    Py_VISIT(self->encode);
    Py_VISIT(self->decode);
    Py_VISIT(self->unset);
    Py_VISIT(self->copy);
    Py_VISIT(self->blank);
    return 0;
}

static int Codec_clear(Codec *self) {
    Py_CLEAR(self->type);
    Py_CLEAR(self->encode);
    Py_CLEAR(self->decode);
    Py_CLEAR(self->unset);
    Py_CLEAR(self->copy);
    Py_CLEAR(self->blank);
    Py_CLEAR(self->int32);
    return 0;
}

static void Codec_dealloc(Codec *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Codec_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(Codec_doc,
             "Codec(TALAudio, encode, decode, UNSET)\n"
             "--\n"
             "\n"
             "What the short cuts know of `TALAudio`. `encode` and `decode` are msgspec's own, to and from JSON.\n");

static PyMethodDef Codec_methods[] = {
    {"encode", (PyCFunction)(void (*)(void))Codec_encode, METH_FASTCALL, encode_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Codec_slots[] = {
    {Py_tp_doc, (void *)Codec_doc},         {Py_tp_new, Codec_new},
    {Py_tp_dealloc, Codec_dealloc},         {Py_tp_traverse, Codec_traverse},
    {Py_tp_clear, Codec_clear},             {Py_tp_methods, Codec_methods},
    {0, NULL},
};

static PyType_Spec Codec_spec = {
    .name = "wav_streaming._native.Codec",
    .basicsize = sizeof(Codec),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Codec_slots,
};

/* ----------------------------------------------------------------------------------------------- the order of frames */

typedef struct {
    PyObject_HEAD
    long long previous;
} Order;

static PyObject *Order_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    Order *self = (Order *)type->tp_alloc(type, 0);
    (void)args;
    (void)kwargs;
    if (self != NULL) {
        self->previous = -1;
    }
    return (PyObject *)self;
}

static void Order_dealloc(Order *self) {
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef Order_members[] = {
    {"previous", T_LONGLONG, offsetof(Order, previous), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Order_slots[] = {
    {Py_tp_doc, (void *)"Where in an answer a stream is; the twin of tal.Order."},
    {Py_tp_new, Order_new},
    {Py_tp_dealloc, Order_dealloc},
    {Py_tp_members, Order_members},
    {0, NULL},
};

static PyType_Spec Order_spec = {
    .name = "wav_streaming._native.Order",
    .basicsize = sizeof(Order),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = Order_slots,
};

/* ------------------------------------------------------------------------------------------------------------- decoding */

typedef struct {
    PyObject_HEAD
    Codec *codec;
    Order *order; /* NULL: any order will do */
    vectorcallfunc call;
} Plain;

/* Whether a frame follows the one before it: the rule, and its words, are tal.py's. */
static int in_order(Order *order, const Tal *tal) {
    if (tal->sign == 1 ? tal->order != 1
                       : order->previous == 0 || (order->previous > 0 && tal->order != order->previous + 1)) {
        return 0;
    }
    order->previous = tal->sign == 3 ? 0 : tal->order;
    return 1;
}

typedef struct {
    const char *at, *end;
} Text;

static int take(Text *text, const char *literal, Py_ssize_t size) {
    if (text->end - text->at < size || memcmp(text->at, literal, (size_t)size) != 0) {
        return 0;
    }
    text->at += size;
    return 1;
}

#define TAKE(text, literal) take(text, literal, (Py_ssize_t)sizeof(literal) - 1)

/* An integer as encoders write it: digits, and no zero before them. */
static int take_integer(Text *text, long long high, long long *into) {
    const char *begin = text->at;
    long long value = 0;
    while (text->at < text->end && *text->at >= '0' && *text->at <= '9' && text->at - begin < 17) {
        value = 10 * value + (*text->at++ - '0');
    }
    *into = value;
    return text->at > begin && *begin != '0' && value <= high;
}

/* A string that holds nothing escaped, up to and with its closing quote. */
static int take_string(Text *text, Text *into) {
    into->at = text->at;
    for (; text->at < text->end && *text->at != '"'; text->at++) {
        if ((unsigned char)*text->at < 0x20 || *text->at == '\\') {
            return 0;
        }
    }
    into->end = text->at;
    return TAKE(text, "\"");
}

static int set_string(Codec *self, PyObject *tal, int which, const Text *text) {
    PyObject *string;
    if (text->at == text->end) { /* the default */
        return 1;
    }
    string = PyUnicode_DecodeUTF8(text->at, text->end - text->at, NULL);
    if (string == NULL) {
        return 0;
    }
    Py_XSETREF(*(PyObject **)((char *)tal + self->offsets[which]), string);
    return 1;
}

static int set_integer(Codec *self, PyObject *tal, int which, long long value) {
    PyObject *integer = PyLong_FromLongLong(value);
    if (integer == NULL) {
        return 0;
    }
    Py_XSETREF(*(PyObject **)((char *)tal + self->offsets[which]), integer);
    return 1;
}

/* A TALAudio from a header as all encoders of ours write it: the ten members in their order, and no blank. It is about
 * eight times as fast as a parser that can read any other. NULL for those, with an error only if it is to be raised. */
static PyObject *read_usual(Codec *self, PyObject *header, Tal *tal) {
    Text text = {PyBytes_AS_STRING(header), PyBytes_AS_STRING(header) + PyBytes_GET_SIZE(header)}, question, answer, url;
    PyObject *object;
    if (TAKE(&text, "{\"audioType\":\"int16\",\"bitDepth\":16,\"sampleRate\":")) {
        tal->bit_depth = 16;
    } else if (TAKE(&text, "{\"audioType\":\"int32\",\"bitDepth\":32,\"sampleRate\":")) {
        tal->bit_depth = 32;
    } else {
        return NULL;
    }
    if (!take_integer(&text, MAX_SAMPLE_RATE, &tal->sample_rate) || !TAKE(&text, ",\"channels\":") ||
        !take_integer(&text, MAX_CHANNELS, &tal->channels) || !TAKE(&text, ",\"audioFormat\":\"wav\",\"question\":\"") ||
        !take_string(&text, &question) || !TAKE(&text, ",\"answer\":\"") || !take_string(&text, &answer) ||
        !TAKE(&text, ",\"url\":\"") || !take_string(&text, &url) || !TAKE(&text, ",\"sign\":") ||
        !take_integer(&text, 3, &tal->sign) || !TAKE(&text, ",\"order\":") ||
        !take_integer(&text, MAX_ORDER, &tal->order) || !TAKE(&text, "}") || text.at != text.end) {
        return NULL;
    }
    object = PyObject_CallOneArg(self->copy, self->blank);
    if (object == NULL) {
        return NULL;
    }
    if (!Py_IS_TYPE(object, self->type) || Py_REFCNT(object) != 1 || !set_string(self, object, QUESTION, &question) ||
        !set_string(self, object, ANSWER, &answer) || !set_string(self, object, URL, &url) ||
        !set_integer(self, object, SAMPLE_RATE, tal->sample_rate) ||
        !set_integer(self, object, CHANNELS, tal->channels) || !set_integer(self, object, SIGN, tal->sign) ||
        !set_integer(self, object, ORDER, tal->order) ||
        (tal->bit_depth == 32 && !set_integer(self, object, BIT_DEPTH, 32))) {
        Py_DECREF(object);
        return NULL;
    }
    if (tal->bit_depth == 32) {
        Py_XSETREF(*(PyObject **)((char *)object + self->offsets[AUDIO_TYPE]), Py_NewRef(self->int32));
    }
    return object;
}

/* Whether the error that is set only says that this is no TALAudio, of which tal.py knows more to say. */
static int is_refusal(Plain *self) {
    State *state;
    if (PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) || PyErr_ExceptionMatches(PyExc_RecursionError)) {
        return 1;
    }
    state = state_of(Py_TYPE(self));
    return state != NULL && PyErr_ExceptionMatches(state->msgspec_error);
}

static PyObject *Plain_vectorcall(PyObject *callable, PyObject *const *args, size_t flags, PyObject *keywords) {
    Plain *self = (Plain *)callable;
    PyObject *object = NULL, *message;
    Tal tal;
    if (PyVectorcall_NARGS(flags) != 2 || (keywords != NULL && PyTuple_GET_SIZE(keywords) > 0)) {
        PyErr_SetString(PyExc_TypeError, "the bytes of a header and of a payload are expected");
        return NULL;
    }
    if (PyBytes_CheckExact(args[0]) && PyBytes_CheckExact(args[1])) {
        object = read_usual(self->codec, args[0], &tal);
        if (object == NULL && !PyErr_Occurred()) {
            object = PyObject_CallOneArg(self->codec->decode, args[0]);
            if (object != NULL && !read_received(self->codec, object, &tal)) {
                Py_CLEAR(object);
            }
        }
        if (object == NULL && PyErr_Occurred()) {
            if (!is_refusal(self)) {
                return NULL;
            }
            PyErr_Clear();
        }
    }
    if (object == NULL || !whole_samples(&tal, PyBytes_GET_SIZE(args[1])) ||
        (self->order != NULL && !in_order(self->order, &tal))) {
        Py_XDECREF(object);
        Py_RETURN_NONE;
    }
    message = PyTuple_New(2);
    if (message == NULL) {
        Py_DECREF(object);
        return NULL;
    }
    PyTuple_SET_ITEM(message, 0, object);
    PyTuple_SET_ITEM(message, 1, Py_NewRef(args[1]));
    return message;
}

static PyObject *Plain_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    State *state = state_of(type);
    PyObject *codec, *order;
    Plain *self;
    (void)kwargs;
    if (state == NULL || !PyArg_ParseTuple(args, "O!O:Plain", state->codec, &codec, &order)) {
        return NULL;
    }
    if (order != Py_None && !PyObject_TypeCheck(order, state->order)) {
        PyErr_Format(PyExc_TypeError, "an Order or None is expected, not %R", order);
        return NULL;
    }
    self = (Plain *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->codec = (Codec *)Py_NewRef(codec);
        self->order = order == Py_None ? NULL : (Order *)Py_NewRef(order);
        self->call = Plain_vectorcall;
    }
    return (PyObject *)self;
}

static int Plain_traverse(Plain *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->codec);
    Py_VISIT(self->order);
    return 0;
}

static void Plain_dealloc(Plain *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->codec);
    Py_CLEAR(self->order);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef Plain_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Plain, call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Plain_slots[] = {
    {Py_tp_doc, (void *)"Plain(codec, order)\n--\n\nA PlainDecoder; the twin of what tal.plain_decoder makes.\n"},
    {Py_tp_new, Plain_new},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_dealloc, Plain_dealloc},
    {Py_tp_traverse, Plain_traverse},
    {Py_tp_members, Plain_members},
    {0, NULL},
};

static PyType_Spec Plain_spec = {
    .name = "wav_streaming._native.Plain",
    .basicsize = sizeof(Plain),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Plain_slots,
};

/* --------------------------------------------------------------------------------------------------------------- module */

static int module_exec(PyObject *module) {
    State *state = (State *)PyModule_GetState(module);
    PyObject *msgspec = PyImport_ImportModule("msgspec");
    if (msgspec == NULL) {
        return -1;
    }
    state->msgspec_error = PyObject_GetAttrString(msgspec, "MsgspecError");
    Py_DECREF(msgspec);
    state->codec = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Codec_spec, NULL);
    state->order = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Order_spec, NULL);
    state->plain = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Plain_spec, NULL);
    if (state->msgspec_error == NULL || state->codec == NULL || state->order == NULL || state->plain == NULL) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "Codec", (PyObject *)state->codec) < 0 ||
                   PyModule_AddObjectRef(module, "Order", (PyObject *)state->order) < 0 ||
                   PyModule_AddObjectRef(module, "Plain", (PyObject *)state->plain) < 0
               ? -1
               : 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    State *state = (State *)PyModule_GetState(module);
    Py_VISIT(state->codec);
    Py_VISIT(state->order);
    Py_VISIT(state->plain);
    Py_VISIT(state->msgspec_error);
    return 0;
}

static int module_clear(PyObject *module) {
    State *state = (State *)PyModule_GetState(module);
    Py_CLEAR(state->codec);
    Py_CLEAR(state->order);
    Py_CLEAR(state->plain);
    Py_CLEAR(state->msgspec_error);
    return 0;
}

static void module_free(void *module) { module_clear((PyObject *)module); }

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_USED}, /* members of a TALAudio are read where they are */
#endif
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "wav_streaming._native",
    .m_doc = "The tal coder's short cuts in C.",
    .m_size = sizeof(State),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&module_definition); }
