/* The fast paths of wav_streaming: a TALAudio and its PCM to a frame.
 *
 * Each does the whole work for what nearly every frame is, and returns None for any other; then tal.py checks it and reports
 * what is wrong. What the members may be comes from tal.py's table. A TALAudio is read where msgspec keeps its members, at the
 * offsets that the class's own descriptors name.
 */
#include "tal.h"

/* ------------------------------------------------------------------------------------------------------------ reading */

/* Of exact str and int, whose comparison runs no Python code. */
static int same(PyObject *value, PyObject *wanted) {
    return value == wanted || (value != NULL && Py_IS_TYPE(value, Py_TYPE(wanted)) &&
                               PyObject_RichCompareBool(value, wanted, Py_EQ) == 1);
}

static int read_kind(const TalCodec *self, PyObject *object) {
    int kind, n;
    for (kind = 0; kind < self->kinds; kind++) {
        for (n = 0; n < self->fixed_count; n++) {
            if (!same(*slot_of(object, self->fixed[n].offset), self->fixed[n].values[kind])) {
                break;
            }
        }
        if (n == self->fixed_count) {
            return kind;
        }
    }
    return -1;
}

/* An int, no bool and no subclass. */
static int read_integer(const Varying *member, PyObject *value, long long *into) {
    int overflow;
    if (value == NULL || !PyLong_CheckExact(value)) {
        return 0;
    }
    *into = PyLong_AsLongLongAndOverflow(value, &overflow);
    return !overflow && member->low <= *into && *into <= member->high;
}

int read_tal(const TalCodec *self, PyObject *object, Tal *into) {
    int n;
    if (!Py_IS_TYPE(object, self->type) || *slot_of(object, self->extra) != self->unset) {
        return 0;
    }
    into->kind = read_kind(self, object);
    if (into->kind < 0) {
        return 0;
    }
    for (n = 0; n < self->varying_count; n++) {
        const Varying *member = &self->varying[n];
        PyObject *value = *slot_of(object, member->offset);
        if (!member->is_text) {
            if (!read_integer(member, value, &into->integers[n])) {
                return 0;
            }
        } else if (value != NULL && PyUnicode_CheckExact(value)) {
            into->texts[n] = value;
        } else {
            return 0;
        }
    }
    return 1;
}

/* ------------------------------------------------------------------------------------------------------------ writing */

/* A string as msgspec writes it, if nothing in it has to be escaped. If it has no UTF-8, whatever was borrowed may be gone:
 * making that error may start the garbage collector, which can run any code. */
static int write_compact_string(Writer *writer, PyObject *string) {
    Py_ssize_t size, n;
    const char *text = PyUnicode_AsUTF8AndSize(string, &size);
    char *out;
    if (text == NULL) {
        PyErr_Clear(); /* a lone surrogate: tal.py reports it */
        return 0;
    }
    for (n = 0; n < size; n++) {
        const unsigned char byte = (unsigned char)text[n];
        if (byte < 0x20 || byte == '"' || byte == '\\') {
            return 0;
        }
    }
    out = writer_room(writer, size + 2);
    if (out == NULL) {
        return 0;
    }
    *out = '"';
    *(size > 0 ? put(out + 1, text, size) : out + 1) = '"';
    writer->used += size + 2;
    return 1;
}

static int write_header(Writer *writer, const TalCodec *self, const Tal *tal, int style) {
    PyObject *const *leads = self->leads[tal->kind][style];
    int n, written = 1;
    for (n = 0; n < self->varying_count && written; n++) {
        if (!write_text(writer, PyBytes_AS_STRING(leads[n]), PyBytes_GET_SIZE(leads[n]))) {
            return 0;
        }
        written = !self->varying[n].is_text ? write_integer(writer, tal->integers[n])
                  : style == COMPACT        ? write_compact_string(writer, tal->texts[n])
                                            : write_string(writer, tal->texts[n]);
    }
    return written && WRITE(writer, "}") && !writer->lone_surrogate;
}

/* NULL without an error if the lengths do not fit their words. */
static PyObject *new_frame_of(const char *header, Py_ssize_t size, PyObject *pcm) {
    char *out;
    PyObject *wire = new_wire(NULL, size, PyBytes_GET_SIZE(pcm), &out);
    if (wire != NULL) {
        put(put(out, header, size), PyBytes_AS_STRING(pcm), PyBytes_GET_SIZE(pcm));
    }
    return wire;
}

/* The header as msgspec writes it, for strings with something to escape. */
static PyObject *encode_by_msgspec(const TalCodec *self, PyObject *tal, PyObject *pcm) {
    PyObject *header = PyObject_CallOneArg(self->encode, tal), *wire = NULL;
    if (header == NULL) {
        if (PyErr_ExceptionMatches(PyExc_Exception)) {
            PyErr_Clear(); /* a lone surrogate: tal.py reports it */
        }
        return NULL;
    }
    if (PyBytes_CheckExact(header)) {
        wire = new_frame_of(PyBytes_AS_STRING(header), PyBytes_GET_SIZE(header), pcm);
    }
    Py_DECREF(header);
    return wire;
}

/* NULL without an error if the Python version has to make it. */
static PyObject *encode(const TalCodec *self, PyObject *object, PyObject *pcm, int style) {
    PyObject *wire = NULL;
    Writer writer;
    Tal tal;
    int written;
    if (PyBytes_CheckExact(pcm) && read_tal(self, object, &tal) && whole_samples(self, &tal, PyBytes_GET_SIZE(pcm))) {
        writer_init(&writer);
        written = write_header(&writer, self, &tal, style);
        if (written) {
            wire = new_frame_of(writer.at, writer.used, pcm);
        }
        writer_free(&writer);
        if (!written && style == COMPACT) {
            wire = encode_by_msgspec(self, object, pcm);
        }
    }
    return wire;
}

static PyObject *or_none(PyObject *object) {
    if (object == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return object;
}

PyDoc_STRVAR(encode_doc,
             "encode($self, tal, pcm, /)\n"
             "--\n"
             "\n"
             "The frame that `TALCoder.encode` returns, or `None` if the Python version has to make it.\n");

static PyObject *TalCodec_encode(TalCodec *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 2) {
        PyErr_Format(PyExc_TypeError, "encode() takes 2 positional arguments but %zd were given", count);
        return NULL;
    }
    return or_none(encode(self, args[0], args[1], COMPACT));
}

PyDoc_STRVAR(encode_original_doc,
             "encode_original($self, tal, pcm, byte_length, /)\n"
             "--\n"
             "\n"
             "The frame that `tal_encoder` returns, or `None` if the Python version has to make it.\n");

static PyObject *TalCodec_encode_original(TalCodec *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 3) {
        PyErr_Format(PyExc_TypeError, "encode_original() takes 3 positional arguments but %zd were given", count);
        return NULL;
    }
    if (!is_standard_length(args[2])) {
        Py_RETURN_NONE;
    }
    return or_none(encode(self, args[0], args[1], SPACED));
}

/* --------------------------------------------------------------------------------------------------------- the members */

/* An attribute of a class, by an interned name: a new string each time would stay in the types' attribute cache. */
static PyObject *attribute(PyObject *object, const char *name) {
    PyObject *interned = PyUnicode_InternFromString(name), *value;
    if (interned == NULL) {
        return NULL;
    }
    value = PyObject_GetAttr(object, interned);
    Py_DECREF(interned);
    return value;
}

/* Where instances of `type` keep a member; -1 with an error set if that is no slot. */
static Py_ssize_t offset_of(PyTypeObject *type, PyObject *name) {
    PyObject *descriptor = PyObject_GetAttr((PyObject *)type, name);
    Py_ssize_t offset = -1;
    if (descriptor == NULL) {
        return -1;
    }
    if (Py_IS_TYPE(descriptor, &PyMemberDescr_Type) && PyType_IsSubtype(type, ((PyDescrObject *)descriptor)->d_type) &&
        ((PyMemberDescrObject *)descriptor)->d_member->type == T_OBJECT_EX) {
        offset = ((PyMemberDescrObject *)descriptor)->d_member->offset;
    } else {
        PyErr_Format(PyExc_TypeError, "%U is not kept in a slot, but %R", name, descriptor);
    }
    Py_DECREF(descriptor);
    return offset;
}

static int is_ascii_text(PyObject *value) { return PyUnicode_CheckExact(value) && PyUnicode_IS_ASCII(value); }

static int refuse_member(PyObject *name) {
    PyErr_Format(PyExc_TypeError, "the fast paths cannot be made for the member %R", name);
    return -1;
}

/* Value number `at` of those allowed, -1 being the last, as an integer; -1 with an error set if it is none. */
static long long integer_at(PyObject *allowed, Py_ssize_t at) {
    PyObject *value = PySequence_GetItem(allowed, at < 0 ? PySequence_Size(allowed) + at : at);
    long long integer = value == NULL ? -1 : PyLong_AsLongLong(value);
    Py_XDECREF(value);
    return integer;
}

/* Finds where a TALAudio keeps a member, and its default, which has to be that of the table: 0, or -1 with an error set. */
static int place_member(const TalCodec *self, PyObject *name, PyObject *usual, Py_ssize_t *offset, PyObject **kept) {
    *offset = offset_of(self->type, name);
    if (*offset < 0) {
        return -1;
    }
    *kept = *slot_of(self->blank, *offset);
    return same(*kept, usual) ? 0 : refuse_member(name);
}

/* Adds a member that follows from the kind of the samples: 0, or -1 with an error set. */
static int add_fixed(TalCodec *self, PyObject *name, PyObject *allowed, PyObject *usual) {
    Fixed *member = &self->fixed[self->fixed_count++];
    const Py_ssize_t count = PyTuple_GET_SIZE(allowed);
    int kind;
    if (self->kinds == 0 && PyUnicode_CompareWithASCIIString(name, "audioType") == 0) { /* which comes first */
        self->kinds = (int)Py_MIN(count, MAX_KINDS + 1);
    }
    if (self->kinds > MAX_KINDS || (count != 1 && count != self->kinds)) {
        return refuse_member(name);
    }
    for (kind = 0; kind < self->kinds; kind++) {
        member->values[kind] = PyTuple_GET_ITEM(allowed, count == 1 ? 0 : kind);
        if (PyLong_CheckExact(member->values[kind])) {
            self->sample_size[kind] = PyLong_AsLongLong(member->values[kind]) / 8;
        } else if (!is_ascii_text(member->values[kind])) {
            return refuse_member(name);
        }
    }
    member->name = name;
    return place_member(self, name, usual, &member->offset, &member->usual);
}

/* Adds a member that is any string, `allowed` being None, or an integer within limits: 0, or -1 with an error set. */
static int add_varying(TalCodec *self, PyObject *name, PyObject *allowed, PyObject *usual) {
    Varying *member = &self->varying[self->varying_count++];
    member->is_text = allowed == Py_None;
    if (!member->is_text) {
        member->low = integer_at(allowed, 0);
        member->high = integer_at(allowed, -1);
        if (PyErr_Occurred()) {
            return -1;
        }
    }
    if (member->is_text != PyUnicode_CheckExact(usual) || (!member->is_text && member->low < 1)) {
        return refuse_member(name);
    }
    member->name = name;
    return place_member(self, name, usual, &member->offset, &member->usual);
}

/* Reads an entry of the table, (name, kind, allowed, default, ...): 0, or -1 with an error set. */
static int read_member(TalCodec *self, PyObject *entry) {
    PyObject *name, *allowed, *usual;
    int added, known, depth;
    if (!PyTuple_Check(entry) || PyTuple_GET_SIZE(entry) < 4) {
        PyErr_Format(PyExc_TypeError, "a member is a tuple of name, kind, allowed values and default, not %R", entry);
        return -1;
    }
    name = PyTuple_GET_ITEM(entry, 0);
    allowed = PyTuple_GET_ITEM(entry, 2);
    usual = PyTuple_GET_ITEM(entry, 3);
    if (!is_ascii_text(name) || !(is_ascii_text(usual) || PyLong_CheckExact(usual)) ||
        self->fixed_count + self->varying_count == MAX_MEMBERS) {
        return refuse_member(name);
    }
    known = PyDict_Contains(self->defaults, name);
    if (known != 0) {
        return known < 0 ? -1 : refuse_member(name);
    }
    depth = PyUnicode_CompareWithASCIIString(name, "bitDepth") == 0;
    added = PyTuple_CheckExact(allowed) && (depth || is_ascii_text(usual)) ? add_fixed(self, name, allowed, usual)
                                                                          : add_varying(self, name, allowed, usual);
    return added < 0 ? -1 : PyDict_SetItem(self->defaults, name, usual);
}

/* Writes what headers have between the values that vary: 0, or -1 with an error set. */
static int write_leads(TalCodec *self, int kind, int style) {
    const char *comma = style == SPACED ? ", " : ",", *colon = style == SPACED ? ": " : ":", *before = "{";
    PyObject *name, *usual, *lead = PyBytes_FromString("");
    Py_ssize_t at = 0;
    int fixed = 0, varying = 0;
    while (lead != NULL && PyDict_Next(self->defaults, &at, &name, &usual)) {
        PyBytes_ConcatAndDel(&lead, PyBytes_FromFormat("%s\"%s\"%s", before, (char *)PyUnicode_DATA(name), colon));
        if (fixed < self->fixed_count && name == self->fixed[fixed].name) {
            PyBytes_ConcatAndDel(&lead, PyObject_CallOneArg(self->state->encode, self->fixed[fixed++].values[kind]));
        } else {
            self->leads[kind][style][varying++] = lead;
            lead = PyBytes_FromString("");
        }
        before = comma;
    }
    if (lead != NULL && PyBytes_GET_SIZE(lead) > 0) {
        PyErr_SetString(PyExc_TypeError, "the last member has to be one that varies");
    }
    Py_XDECREF(lead);
    return PyErr_Occurred() ? -1 : 0;
}

/* Finds the place of a varying integer: 0, or -1 with an error set if there is none of that name. */
static int find_integer(const TalCodec *self, const char *name, int *place) {
    for (*place = 0; *place < self->varying_count; ++*place) {
        const Varying *member = &self->varying[*place];
        if (!member->is_text && PyUnicode_CompareWithASCIIString(member->name, name) == 0) {
            return 0;
        }
    }
    PyErr_Format(PyExc_TypeError, "the member %s is missing", name);
    return -1;
}

/* Reads the table: 0, or -1 with an error set. */
static int read_table(TalCodec *self) {
    Py_ssize_t n;
    int kind;
    for (n = 0; n < PyTuple_GET_SIZE(self->table); n++) {
        if (read_member(self, PyTuple_GET_ITEM(self->table, n)) < 0) {
            return -1;
        }
    }
    if (find_integer(self, "channels", &self->channels) < 0 || find_integer(self, "sign", &self->sign) < 0 ||
        find_integer(self, "order", &self->order) < 0) {
        return -1;
    }
    for (kind = 0; kind < self->kinds; kind++) {
        if (self->sample_size[kind] < 1) {
            PyErr_SetString(PyExc_TypeError, "a sample has whole bytes");
            return -1;
        }
        if (write_leads(self, kind, COMPACT) < 0 || write_leads(self, kind, SPACED) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------ TalCodec */

static PyObject *TalCodec_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *tal, *encode, *decode, *unset, *table, *extra = PyUnicode_InternFromString("_extra");
    TalCodec *self = (TalCodec *)type->tp_alloc(type, 0);
    (void)kwargs;
    if (self == NULL || extra == NULL ||
        !PyArg_ParseTuple(args, "O!OOOO!:TalCodec", &PyType_Type, &tal, &encode, &decode, &unset, &PyTuple_Type, &table)) {
        goto failed;
    }
    self->state = state_of(type);
    self->type = (PyTypeObject *)Py_NewRef(tal);
    self->encode = Py_NewRef(encode);
    self->decode = Py_NewRef(decode);
    self->unset = Py_NewRef(unset);
    self->table = Py_NewRef(table);
    self->copy = attribute(tal, "__copy__");
    self->blank = PyObject_CallFunction(decode, "y", "{}");
    self->defaults = PyDict_New();
    if (self->state == NULL || self->copy == NULL || self->blank == NULL || self->defaults == NULL) {
        goto failed;
    }
    if (!Py_IS_TYPE(self->blank, self->type)) {
        PyErr_Format(PyExc_TypeError, "decode returns %R, not %R", Py_TYPE(self->blank), tal);
        goto failed;
    }
    self->extra = offset_of(self->type, extra);
    if (self->extra < 0 || read_table(self) < 0) {
        goto failed;
    }
    Py_DECREF(extra);
    return (PyObject *)self;
failed:
    Py_XDECREF(extra);
    Py_XDECREF(self);
    return NULL;
}

static int TalCodec_traverse(TalCodec *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->type);
    Py_VISIT(self->encode);
    Py_VISIT(self->decode);
    Py_VISIT(self->unset);
    Py_VISIT(self->table);
    Py_VISIT(self->copy);
    Py_VISIT(self->blank);
    Py_VISIT(self->defaults);
    return 0;
}

static int TalCodec_clear(TalCodec *self) {
    PyObject **leads = self->leads[0][0];
    int n;
    Py_CLEAR(self->type);
    Py_CLEAR(self->encode);
    Py_CLEAR(self->decode);
    Py_CLEAR(self->unset);
    Py_CLEAR(self->table);
    Py_CLEAR(self->copy);
    Py_CLEAR(self->blank);
    Py_CLEAR(self->defaults);
    for (n = 0; n < MAX_KINDS * STYLES * MAX_MEMBERS; n++) {
        Py_CLEAR(leads[n]);
    }
    return 0;
}

static void TalCodec_dealloc(TalCodec *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    TalCodec_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(TalCodec_doc,
             "TalCodec(TALAudio, encode, decode, UNSET, members)\n"
             "--\n"
             "\n"
             "What the fast paths know about `TALAudio`. `encode` and `decode` are msgspec's, to and from JSON. `members` is the\n"
             "table of its members.\n");

static PyMethodDef TalCodec_methods[] = {
    {"encode", (PyCFunction)(void (*)(void))TalCodec_encode, METH_FASTCALL, encode_doc},
    {"encode_original", (PyCFunction)(void (*)(void))TalCodec_encode_original, METH_FASTCALL, encode_original_doc},
    {"decode_original", (PyCFunction)(void (*)(void))TalCodec_decode_original, METH_FASTCALL, TalCodec_decode_original_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot TalCodec_slots[] = {
    {Py_tp_doc, (void *)TalCodec_doc},   {Py_tp_new, TalCodec_new},
    {Py_tp_dealloc, TalCodec_dealloc},   {Py_tp_traverse, TalCodec_traverse},
    {Py_tp_clear, TalCodec_clear},       {Py_tp_methods, TalCodec_methods},
    {0, NULL},
};

PyType_Spec TalCodec_spec = {
    .name = "objectstreaming._native.TalCodec",
    .basicsize = sizeof(TalCodec),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = TalCodec_slots,
};

/* ---------------------------------------------------------------------------------------------------------- TalEncoder */

PyDoc_STRVAR(TalEncoder_encode_doc,
             "encode($self, /, header, payload)\n"
             "--\n"
             "\n"
             "One whole frame. Raises `EncodeError`, and then nothing has changed.\n");

static PyObject *TalEncoder_encode(PyObject *self, PyTypeObject *defining, PyObject *const *args, Py_ssize_t count,
                                   PyObject *keywords) {
    State *state = (State *)PyType_GetModuleState(defining);
    PyObject *wire = NULL;
    if (count == 2 && keywords == NULL) {
        PyObject *codec = PyObject_GetAttr(self, state->name_codec);
        if (codec == NULL) {
            return NULL;
        }
        if (Py_IS_TYPE(codec, state->tal_codec)) {
            wire = encode((TalCodec *)codec, args[0], args[1], COMPACT);
        }
        Py_DECREF(codec);
    }
    return wire != NULL || PyErr_Occurred() ? wire : call_checked(state, self, args, count, keywords);
}

static PyMethodDef TalEncoder_methods[] = {
    {"encode", (PyCFunction)(void (*)(void))TalEncoder_encode, METH_METHOD | METH_FASTCALL | METH_KEYWORDS,
     TalEncoder_encode_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot TalEncoder_slots[] = {
    {Py_tp_doc, (void *)"`encode` of `TALCoder`, which has a `_codec`, and `_encode_checked` for what that does not take."},
    {Py_tp_methods, TalEncoder_methods},
    {0, NULL},
};

PyType_Spec TalEncoder_spec = {
    .name = "objectstreaming._native.TalEncoder",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = TalEncoder_slots,
};
