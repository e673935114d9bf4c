/* The calls of AnbJsonStreamCoder, for what nearly all of their arguments are.
 *
 * Written is what json.dumps writes: ASCII, ", " and ": ". Here that is done for dict, list, tuple, str, int, float, bool and
 * None, and not for their subclasses: no Python code runs, so nothing can change while it is written. Everything else (other
 * types, integers beyond 64 bits, NaN, deep nesting, a header that may have to be refused) is left to the Python version.
 *
 * Read is with msgspec, which returns what json.loads returns wherever it returns anything.
 */
#include "native.h"

/* ------------------------------------------------------------------------------------------------------------- values */

static int write_int(Writer *self, PyObject *integer) {
    int overflow;
    const long long value = PyLong_AsLongLongAndOverflow(integer, &overflow);
    return !overflow && write_integer(self, value);
}

/* As float.__repr__ writes it. */
static int write_float(Writer *self, double value) {
    char *text;
    int written;
    if (!Py_IS_FINITE(value)) {
        return 0;
    }
    text = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (text == NULL) {
        PyErr_Clear();
        return 0;
    }
    written = write_text(self, text, (Py_ssize_t)strlen(text));
    PyMem_Free(text);
    return written;
}

/* What can be a member's name as well as a value. */
static int write_scalar(Writer *self, PyObject *value) {
    if (value == Py_None) {
        return WRITE(self, "null");
    }
    if (value == Py_True) {
        return WRITE(self, "true");
    }
    if (value == Py_False) {
        return WRITE(self, "false");
    }
    if (PyLong_CheckExact(value)) {
        return write_int(self, value);
    }
    return PyFloat_CheckExact(value) && write_float(self, PyFloat_AS_DOUBLE(value));
}

static int write_value(Writer *self, PyObject *value, int depth);

static int write_dict(Writer *self, PyObject *dict, int depth) {
    PyObject *name, *value;
    Py_ssize_t at = 0;
    int first = 1;
    if (!WRITE(self, "{")) {
        return 0;
    }
    while (PyDict_Next(dict, &at, &name, &value)) {
        if (!first && !WRITE(self, ", ")) {
            return 0;
        }
        first = 0;
        if (PyUnicode_CheckExact(name)) {
            if (!write_string(self, name)) {
                return 0;
            }
        } else if (!WRITE(self, "\"") || !write_scalar(self, name) || !WRITE(self, "\"")) {
            return 0;
        }
        if (!WRITE(self, ": ") || !write_value(self, value, depth)) {
            return 0;
        }
    }
    return WRITE(self, "}");
}

static int write_array(Writer *self, PyObject *array, int depth) {
    PyObject *const *items = PySequence_Fast_ITEMS(array);
    const Py_ssize_t size = PySequence_Fast_GET_SIZE(array);
    Py_ssize_t n;
    if (!WRITE(self, "[")) {
        return 0;
    }
    for (n = 0; n < size; n++) {
        if ((n > 0 && !WRITE(self, ", ")) || !write_value(self, items[n], depth)) {
            return 0;
        }
    }
    return WRITE(self, "]");
}

/* Whether it was written; no error is ever set. `depth`: of the arrays and objects around it. What contains itself ends at
 * the largest depth. */
static int write_value(Writer *self, PyObject *value, int depth) {
    if (PyUnicode_CheckExact(value)) {
        return write_string(self, value);
    }
    if (PyDict_CheckExact(value)) {
        return depth < OBJS_MAX_DEPTH && write_dict(self, value, depth + 1);
    }
    if (PyList_CheckExact(value) || PyTuple_CheckExact(value)) {
        return depth < OBJS_MAX_DEPTH && write_array(self, value, depth + 1);
    }
    return write_scalar(self, value);
}

/* -------------------------------------------------------------------------------------------------------------- calls */

int is_standard_length(PyObject *byte_length) {
    int overflow;
    return PyLong_CheckExact(byte_length) && PyLong_AsLongLongAndOverflow(byte_length, &overflow) == 4;
}

static int is_standard_layout(PyObject *byte_length, PyObject *byte_order) {
    return is_standard_length(byte_length) && PyUnicode_CheckExact(byte_order) &&
           PyUnicode_CompareWithASCIIString(byte_order, "little") == 0;
}

PyDoc_STRVAR(encode_original_doc,
             "encode_original($module, header, value, byte_length, byte_order, /)\n"
             "--\n"
             "\n"
             "The frame that `AnbJsonStreamCoder.encode` returns, or `None` if the Python version has to make it.\n");

static PyObject *encode_original(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    PyObject *wire = NULL;
    Writer writer;
    (void)module;
    if (count != 4) {
        PyErr_Format(PyExc_TypeError, "encode_original() takes 4 positional arguments but %zd were given", count);
        return NULL;
    }
    if (!PyDict_CheckExact(args[0]) || !is_standard_layout(args[2], args[3])) {
        Py_RETURN_NONE;
    }
    writer_init(&writer);
    if (write_value(&writer, args[0], 0) && !writer.lone_surrogate && !spells_stream(writer.at, writer.used)) {
        const Py_ssize_t header = writer.used;
        char *out;
        if (write_value(&writer, args[1], 0)) {
            wire = new_wire(NULL, header, writer.used - header, &out);
            if (wire != NULL) {
                put(out, writer.at, writer.used);
            }
        }
    }
    writer_free(&writer);
    if (wire == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return wire;
}

int find_frame(PyObject *data, Span *header, Span *payload) {
    objs_config config = objs_default_config();
    const Py_ssize_t size = PyBytes_GET_SIZE(data);
    const uint8_t *text = (const uint8_t *)PyBytes_AS_STRING(data);
    uint64_t total, header_size;
    config.max_frame = config.max_header = UINT32_MAX;
    if (size < 8) {
        return 0;
    }
    total = objs_get_word(&config, text);
    header_size = objs_get_word(&config, text + 4);
    if (total > (uint64_t)size || objs_check_total(&config, total) != OBJS_OK ||
        objs_check_header(&config, total, header_size) != OBJS_OK) {
        return 0;
    }
    header->owner = payload->owner = data;
    header->text = (const char *)text + 8;
    header->size = (Py_ssize_t)header_size;
    payload->text = header->text + header->size;
    payload->size = (Py_ssize_t)(total - 8 - header_size);
    return 1;
}

PyObject *rest_of(const Span *last) {
    const char *begin = last->text + last->size;
    return PyBytes_FromStringAndSize(begin, PyBytes_AS_STRING(last->owner) + PyBytes_GET_SIZE(last->owner) - begin);
}

PyDoc_STRVAR(decode_original_doc,
             "decode_original($module, data, byte_length, byte_order, /)\n"
             "--\n"
             "\n"
             "What `AnbJsonStreamCoder.decode` returns, or `None` if the Python version has to look at the bytes.\n");

static PyObject *decode_original(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    State *state = (State *)PyModule_GetState(module);
    PyObject *header_value, *value, *rest, *all;
    Span header, payload;
    int keeps = 0, done;
    if (count != 3) {
        PyErr_Format(PyExc_TypeError, "decode_original() takes 3 positional arguments but %zd were given", count);
        return NULL;
    }
    if (!PyBytes_CheckExact(args[0]) || !is_standard_layout(args[1], args[2]) ||
        !find_frame(args[0], &header, &payload)) {
        Py_RETURN_NONE;
    }
    done = decode_both(state, state->decode_object, state->decode_any, &keeps, &header, &payload, &header_value, &value);
    if (done < 0) {
        return NULL;
    }
    if (done == 0) {
        Py_RETURN_NONE;
    }
    rest = rest_of(&payload);
    if (rest != NULL && PyBytes_GET_SIZE(rest) == 0) {
        Py_SETREF(rest, Py_NewRef(Py_None));
    }
    all = rest == NULL ? NULL : PyTuple_Pack(3, header_value, value, rest);
    Py_DECREF(header_value);
    Py_DECREF(value);
    Py_XDECREF(rest);
    return all;
}

PyMethodDef original_methods[] = {
    {"encode_original", (PyCFunction)(void (*)(void))encode_original, METH_FASTCALL, encode_original_doc},
    {"decode_original", (PyCFunction)(void (*)(void))decode_original, METH_FASTCALL, decode_original_doc},
    {NULL, NULL, 0, NULL},
};
