/* The fast paths of wav_streaming: a frame to a TALAudio or a dict, and its PCM. */
#include "tal.h"

/* ----------------------------------------------------------------------------------------------------- reading headers */

/* A string where it stands in a header, without its quotes. */
typedef struct {
    const char *at;
    Py_ssize_t size;
    int escaped; /* whether it has escapes */
} Text;

/* A header's values, not yet as objects. */
typedef struct {
    Tal values; /* without its texts */
    Text texts[MAX_MEMBERS];
} Parsed;

/* These three move past what they take, and return where that ends, or NULL if it is not there. */

static inline const char *take(const char *at, const char *end, PyObject *lead) {
    const Py_ssize_t size = PyBytes_GET_SIZE(lead);
    return end - at >= size && memcmp(at, PyBytes_AS_STRING(lead), (size_t)size) == 0 ? at + size : NULL;
}

/* An integer as encoders write it: digits, without a leading zero. */
static inline const char *take_integer(const char *at, const char *end, const Varying *member, long long *into) {
    const char *const begin = at;
    long long value = 0;
    if (end - at > 17) { /* as many digits as no member has */
        end = at + 17;
    }
    while (at < end && (unsigned char)(*at - '0') < 10) {
        value = 10 * value + (*at++ - '0');
    }
    *into = value;
    return at > begin && *begin != '0' && member->low <= value && value <= member->high ? at : NULL;
}

static inline const char *take_string(const char *at, const char *end, Text *into) {
    int escaped = 0;
    if (at == end || *at++ != '"') {
        return NULL;
    }
    into->at = at;
    while (at < end && *at != '"') {
        if ((unsigned char)*at < 0x20) {
            return NULL;
        }
        if (*at == '\\') { /* what it escapes is not the end */
            escaped = 1;
            at++;
        }
        at++;
    }
    into->size = at - into->at;
    into->escaped = escaped;
    return at < end ? at + 1 : NULL;
}

/* Whether a header is spelled as our encoders and the original do: all members, in their order, in one of the two styles. That
 * is about eight times as fast as a parser that can read any spelling. */
static int parse_usual(const TalCodec *self, const Span *header, int style, Parsed *into) {
    const char *const end = header->text + header->size, *at;
    PyObject *const *leads;
    int kind = 0, n = 0;
    while ((at = take(header->text, end, self->leads[kind][style][0])) == NULL) {
        if (++kind == self->kinds) {
            return 0;
        }
    }
    into->values.kind = kind;
    leads = self->leads[kind][style];
    for (;;) {
        const Varying *member = &self->varying[n];
        at = member->is_text ? take_string(at, end, &into->texts[n])
                             : take_integer(at, end, member, &into->values.integers[n]);
        if (at == NULL) {
            return 0;
        }
        if (++n == self->varying_count) {
            return end - at == 1 && *at == '}';
        }
        at = take(at, end, leads[n]);
        if (at == NULL) {
            return 0;
        }
    }
}

/* A text as an object. New reference; NULL with an error set if it is not valid. */
static PyObject *string_of(const TalCodec *self, const Text *text) {
    PyObject *bytes, *string;
    if (!text->escaped) {
        return PyUnicode_DecodeUTF8(text->at, text->size, NULL);
    }
    bytes = PyBytes_FromStringAndSize(text->at - 1, text->size + 2); /* in its quotes */
    if (bytes == NULL) {
        return NULL;
    }
    string = PyObject_CallOneArg(self->state->decode_any, bytes);
    Py_DECREF(bytes);
    return string;
}

/* The value of a varying member. New reference; NULL with an error set if it is not valid. */
static inline PyObject *value_of(const TalCodec *self, const Parsed *parsed, int n) {
    const Varying *member = &self->varying[n];
    if (!member->is_text) {
        return PyLong_FromLongLong(parsed->values.integers[n]);
    }
    if (parsed->texts[n].size == 0 && PyUnicode_GET_LENGTH(member->usual) == 0) {
        return Py_NewRef(member->usual);
    }
    return string_of(self, &parsed->texts[n]);
}

/* A TALAudio of what was parsed. NULL without an error if msgspec copies it in an unexpected way. */
static PyObject *new_tal(const TalCodec *self, const Parsed *parsed) {
    PyObject *object = PyObject_CallOneArg(self->copy, self->blank);
    int n;
    if (object == NULL || !Py_IS_TYPE(object, self->type) || Py_REFCNT(object) != 1) {
        Py_XDECREF(object);
        return NULL;
    }
    for (n = 0; n < self->fixed_count; n++) {
        PyObject *value = self->fixed[n].values[parsed->values.kind];
        if (value != self->fixed[n].usual) {
            Py_XSETREF(*slot_of(object, self->fixed[n].offset), Py_NewRef(value));
        }
    }
    for (n = 0; n < self->varying_count; n++) {
        PyObject *value = value_of(self, parsed, n);
        if (value == NULL) {
            Py_DECREF(object);
            return NULL;
        }
        Py_XSETREF(*slot_of(object, self->varying[n].offset), value);
    }
    return object;
}

/* The same as a dict. */
static PyObject *new_dict(const TalCodec *self, const Parsed *parsed) {
    PyObject *dict = PyDict_Copy(self->defaults);
    int n, done = dict == NULL ? -1 : 0;
    for (n = 0; n < self->fixed_count && done == 0; n++) {
        PyObject *value = self->fixed[n].values[parsed->values.kind];
        done = value == self->fixed[n].usual ? 0 : PyDict_SetItem(dict, self->fixed[n].name, value);
    }
    for (n = 0; n < self->varying_count && done == 0; n++) {
        PyObject *value = value_of(self, parsed, n);
        if (value != self->varying[n].usual) {
            done = value == NULL ? -1 : PyDict_SetItem(dict, self->varying[n].name, value);
        }
        Py_XDECREF(value);
    }
    if (done < 0) {
        Py_CLEAR(dict);
    }
    return dict;
}

/* In either style. */
static int parse(const TalCodec *self, const Span *header, Parsed *into) {
    return parse_usual(self, header, COMPACT, into) || parse_usual(self, header, SPACED, into);
}

/* ---------------------------------------------------------------------------------------------------------- tal_decoder */

const char TalCodec_decode_original_doc[] =
    "decode_original($self, data, byte_length, /)\n"
    "--\n"
    "\n"
    "What `tal_decoder` returns, or `None` if the Python version has to look at the bytes.\n";

PyObject *TalCodec_decode_original(TalCodec *self, PyObject *const *args, Py_ssize_t count) {
    PyObject *header, *pcm, *rest, *all = NULL;
    Span header_span, payload_span;
    Parsed parsed;
    if (count != 2) {
        PyErr_Format(PyExc_TypeError, "decode_original() takes 2 positional arguments but %zd were given", count);
        return NULL;
    }
    if (!PyBytes_CheckExact(args[0]) || !is_standard_length(args[1]) ||
        !find_frame(args[0], &header_span, &payload_span) || !parse(self, &header_span, &parsed) ||
        !whole_samples(self, &parsed.values, payload_span.size)) {
        Py_RETURN_NONE;
    }
    header = new_dict(self, &parsed);
    if (header == NULL) {
        if (!is_refusal(self->state)) {
            return NULL;
        }
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    pcm = bytes_of(&payload_span);
    rest = rest_of(&payload_span);
    if (pcm != NULL && rest != NULL) {
        all = Py_BuildValue("((OO)O)", header, pcm, rest);
    }
    Py_DECREF(header);
    Py_XDECREF(pcm);
    Py_XDECREF(rest);
    return all;
}

/* ------------------------------------------------------------------------------------------------------------ TalOrder */

typedef struct {
    PyObject_HEAD
    long long previous;
} TalOrder;

/* Whether a frame follows the one before it; if so, it is now the one before. The rule is AnswerOrder.advance of
 * wav_streaming/order.py, which has the messages. */
static int in_order(TalOrder *self, long long sign, long long order) {
    if (sign == 1 ? order != 1 : self->previous == 0 || (self->previous > 0 && order != self->previous + 1)) {
        return 0;
    }
    self->previous = sign == 3 ? 0 : order;
    return 1;
}

static PyObject *TalOrder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    TalOrder *self = (TalOrder *)type->tp_alloc(type, 0);
    (void)args;
    (void)kwargs;
    if (self != NULL) {
        self->previous = -1;
    }
    return (PyObject *)self;
}

static void TalOrder_dealloc(TalOrder *self) {
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef TalOrder_members[] = {
    {"previous", T_LONGLONG, offsetof(TalOrder, previous), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot TalOrder_slots[] = {
    {Py_tp_doc, (void *)"Where in its answers a stream is; order.Order in C."},
    {Py_tp_new, TalOrder_new},
    {Py_tp_dealloc, TalOrder_dealloc},
    {Py_tp_members, TalOrder_members},
    {0, NULL},
};

PyType_Spec TalOrder_spec = {
    .name = "objectstreaming._native.TalOrder",
    .basicsize = sizeof(TalOrder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = TalOrder_slots,
};

/* ------------------------------------------------------------------------------------------------------------ TalPlain */

typedef struct {
    Plain plain;
    TalCodec *codec;
    TalOrder *order; /* NULL: any order will do */
} TalPlain;

/* The header's TALAudio and the values it was judged by. NULL without an error if tal.py has to look at it. */
static PyObject *read_header(const TalCodec *self, const Span *header, Tal *into) {
    PyObject *object, *bytes;
    Parsed parsed;
    if (parse(self, header, &parsed)) {
        *into = parsed.values;
        object = new_tal(self, &parsed);
    } else {
        bytes = bytes_of(header);
        object = bytes == NULL ? NULL : PyObject_CallOneArg(self->decode, bytes);
        Py_XDECREF(bytes);
        if (object != NULL && !read_tal(self, object, into)) {
            Py_CLEAR(object);
        }
    }
    if (object == NULL && PyErr_Occurred() && is_refusal(self->state)) {
        PyErr_Clear();
    }
    return object;
}

static PyObject *TalPlain_decode(State *state, PyObject *self, const Span *header, const Span *payload) {
    const TalCodec *codec = ((TalPlain *)self)->codec;
    TalOrder *order = ((TalPlain *)self)->order;
    PyObject *object, *pcm;
    Tal tal;
    (void)state;
    object = read_header(codec, header, &tal);
    if (object == NULL) {
        return NULL;
    }
    pcm = whole_samples(codec, &tal, payload->size) ? bytes_of(payload) : NULL;
    if (pcm != NULL && (order == NULL || in_order(order, tal.integers[codec->sign], tal.integers[codec->order]))) {
        return new_message(object, pcm);
    }
    Py_DECREF(object);
    Py_XDECREF(pcm);
    return NULL;
}

static PyObject *TalPlain_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    State *state = state_of(type);
    PyObject *codec, *order;
    TalPlain *self;
    (void)kwargs;
    if (state == NULL || !PyArg_ParseTuple(args, "O!O:TalPlain", state->tal_codec, &codec, &order)) {
        return NULL;
    }
    if (order != Py_None && !PyObject_TypeCheck(order, state->tal_order)) {
        PyErr_Format(PyExc_TypeError, "a TalOrder or None is expected, not %R", order);
        return NULL;
    }
    self = (TalPlain *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->codec = (TalCodec *)Py_NewRef(codec);
        self->order = order == Py_None ? NULL : (TalOrder *)Py_NewRef(order);
        self->plain.call = plain_call;
        self->plain.decode = TalPlain_decode;
    }
    return (PyObject *)self;
}

static int TalPlain_traverse(TalPlain *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->codec);
    Py_VISIT(self->order);
    return 0;
}

static void TalPlain_dealloc(TalPlain *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->codec);
    Py_CLEAR(self->order);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef TalPlain_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(TalPlain, plain.call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(TalPlain_doc,
             "TalPlain(codec, order)\n"
             "--\n"
             "\n"
             "A PlainDecoder of `TALCoder`. It is called with the bytes of a header and of a payload.\n");

static PyType_Slot TalPlain_slots[] = {
    {Py_tp_doc, (void *)TalPlain_doc},
    {Py_tp_new, TalPlain_new},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_dealloc, TalPlain_dealloc},
    {Py_tp_traverse, TalPlain_traverse},
    {Py_tp_members, TalPlain_members},
    {0, NULL},
};

PyType_Spec TalPlain_spec = {
    .name = "objectstreaming._native.TalPlain",
    .basicsize = sizeof(TalPlain),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = TalPlain_slots,
};
