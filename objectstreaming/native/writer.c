/* JSON as the standard library writes it, put together before its size is known. */
#include "native.h"

void writer_init(Writer *self) {
    self->at = self->local;
    self->used = 0;
    self->room = sizeof self->local;
    self->lone_surrogate = 0;
}

void writer_free(Writer *self) {
    if (self->at != self->local) {
        PyMem_Free(self->at);
    }
}

char *writer_grow(Writer *self, Py_ssize_t size) {
    const Py_ssize_t room = size > PY_SSIZE_T_MAX / 2 - self->used ? PY_SSIZE_T_MAX : 2 * (self->used + size);
    char *grown = self->at == self->local ? PyMem_Malloc((size_t)room) : PyMem_Realloc(self->at, (size_t)room);
    if (grown == NULL) {
        return NULL;
    }
    if (self->at == self->local) {
        put(grown, self->local, self->used);
    }
    self->at = grown;
    self->room = room;
    return self->at + self->used;
}

int write_integer(Writer *self, long long value) {
    unsigned long long rest = value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value, limit = 10;
    char *out = writer_room(self, 21);
    int digits = 1, n;
    if (out == NULL) {
        return 0;
    }
    if (value < 0) {
        *out++ = '-';
    }
    if (rest < 10) { /* what most are */
        *out = (char)('0' + rest);
        self->used = out + 1 - self->at;
        return 1;
    }
    while (digits < 20 && rest >= limit) { /* 2^64 has 20 */
        limit *= 10;
        digits++;
    }
    for (n = digits; n-- > 0; rest /= 10) {
        out[n] = (char)('0' + rest % 10);
    }
    self->used = out + digits - self->at;
    return 1;
}

/* Whether a character stands for itself in ASCII JSON. */
static inline int is_literal(Py_UCS4 character) {
    return character >= ' ' && character <= '~' && character != '"' && character != '\\';
}

static char *put_unit(char *out, Py_UCS4 unit) {
    static const char digits[] = "0123456789abcdef";
    int shift;
    *out++ = '\\';
    *out++ = 'u';
    for (shift = 12; shift >= 0; shift -= 4) {
        *out++ = digits[unit >> shift & 15];
    }
    return out;
}

/* At most 12 bytes. */
static char *put_escape(char *out, Py_UCS4 character) {
    static const char *const pairs[] = {"\"\"", "\\\\", "\bb", "\ff", "\nn", "\rr", "\tt"};
    size_t n;
    if (character > 0xFFFF) {
        out = put_unit(out, 0xD800 + ((character - 0x10000) >> 10));
        return put_unit(out, 0xDC00 + ((character - 0x10000) & 0x3FF));
    }
    for (n = 0; n < Py_ARRAY_LENGTH(pairs); n++) {
        if (character == (Py_UCS4)pairs[n][0]) {
            *out++ = '\\';
            *out++ = pairs[n][1];
            return out;
        }
    }
    return put_unit(out, character);
}

static Py_ssize_t literal_length(const char *text, Py_ssize_t size) {
    Py_ssize_t n = 0;
    while (n < size && is_literal((unsigned char)text[n])) {
        n++;
    }
    return n;
}

int write_string(Writer *self, PyObject *string) {
    const Py_ssize_t length = PyUnicode_GET_LENGTH(string);
    const int kind = (int)PyUnicode_KIND(string);
    const void *data = PyUnicode_DATA(string);
    Py_ssize_t n = kind == PyUnicode_1BYTE_KIND ? literal_length(data, length) : 0;
    if (!WRITE(self, "\"") || !write_text(self, data, n)) {
        return 0;
    }
    for (; n < length; n++) {
        const Py_UCS4 character = PyUnicode_READ(kind, data, n);
        char *out = writer_room(self, 12);
        if (out == NULL) {
            return 0;
        }
        if (is_literal(character)) {
            *out++ = (char)character;
        } else {
            out = put_escape(out, character);
        }
        self->used = out - self->at;
        self->lone_surrogate |= character >= 0xD800 && character <= 0xDFFF;
    }
    return WRITE(self, "\"");
}
