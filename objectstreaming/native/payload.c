/* Bytes that arrive in pieces. A length word is a claim: memory is taken for what has come, not for what was claimed. */
#include "native.h"

int growing_append(Growing *self, uint64_t want, const uint8_t *data, Py_ssize_t size) {
    if (size > self->room - self->have) {
        Py_ssize_t room = self->have + size;
        room = room < 1024 ? 2048 : room > PY_SSIZE_T_MAX / 2 - 64 ? room : 2 * room;
        room = (uint64_t)room > want ? (Py_ssize_t)want : room;
        if (self->bytes == NULL) {
            self->bytes = PyBytes_FromStringAndSize(NULL, room);
        } else {
            _PyBytes_Resize(&self->bytes, room); /* on failure it frees the bytes, so the decoder must fail */
        }
        if (self->bytes == NULL) {
            self->have = self->room = 0;
            return -1;
        }
        self->room = room;
    }
    memcpy(PyBytes_AS_STRING(self->bytes) + self->have, data, (size_t)size);
    self->have += size;
    return 0;
}

void growing_clear(Growing *self) {
    Py_CLEAR(self->bytes);
    self->have = self->room = 0;
}

PyObject *growing_take(Growing *self) {
    PyObject *bytes = self->bytes;
    self->bytes = NULL;
    self->have = self->room = 0;
    return bytes != NULL ? bytes : PyBytes_FromStringAndSize(NULL, 0);
}

#define SMALL 512            /* a part costs more than copying so many bytes */
#define GATHERED (64 * 1024) /* and so many small ones become a part */

/* Adds a part, with a reference of its own. */
static int payload_list(Payload *self, PyObject *owner, const char *text, Py_ssize_t size) {
    if (self->count == self->room) {
        Py_ssize_t room = self->room ? 2 * self->room : 16;
        Span *grown = PyMem_Realloc(self->parts, (size_t)room * sizeof *grown);
        if (grown == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        self->parts = grown;
        self->room = room;
    }
    self->parts[self->count].owner = Py_NewRef(owner);
    self->parts[self->count].text = text;
    self->parts[self->count++].size = size;
    return 0;
}

int payload_append(Payload *self, uint64_t want, PyObject *chunk, const uint8_t *data, Py_ssize_t size) {
    const int small = size < SMALL && self->gathered.have <= GATHERED - SMALL;
    if (!small && self->gathered.have > 0) {
        if (payload_list(self, self->gathered.bytes, PyBytes_AS_STRING(self->gathered.bytes), self->gathered.have) < 0) {
            return -1;
        }
        growing_clear(&self->gathered);
    }
    if (size < SMALL) {
        want -= (uint64_t)(self->have - self->gathered.have);
        if (growing_append(&self->gathered, want < GATHERED ? want : GATHERED, data, size) < 0) {
            return -1;
        }
    } else if (payload_list(self, chunk, (const char *)data, size) < 0) {
        return -1;
    }
    self->have += size;
    return 0;
}

void payload_clear(Payload *self) {
    while (self->count > 0) {
        Py_DECREF(self->parts[--self->count].owner);
    }
    PyMem_Free(self->parts);
    self->parts = NULL;
    self->room = 0;
    growing_clear(&self->gathered);
    self->have = 0;
}

PyObject *payload_take(Payload *self) {
    PyObject *bytes;
    if (self->count == 0 && self->gathered.room == self->have) {
        self->have = 0;
        return growing_take(&self->gathered);
    }
    bytes = PyBytes_FromStringAndSize(NULL, self->have);
    if (bytes != NULL) {
        char *out = PyBytes_AS_STRING(bytes);
        Py_ssize_t n;
        for (n = 0; n < self->count; n++) {
            memcpy(out, self->parts[n].text, (size_t)self->parts[n].size);
            out += self->parts[n].size;
        }
        if (self->gathered.have > 0) {
            memcpy(out, PyBytes_AS_STRING(self->gathered.bytes), (size_t)self->gathered.have);
        }
    }
    payload_clear(self);
    return bytes;
}
