/* What tal.c and tal_decode.c share. */
#ifndef OBJECTSTREAMING_TAL_H
#define OBJECTSTREAMING_TAL_H

#include "native.h"

#if defined(__GNUC__)
#pragma GCC visibility push(hidden)
#endif

/* How a header is spelled: as msgspec writes JSON, or as the standard library does. */
enum { COMPACT, SPACED, STYLES };

#define MAX_KINDS 4
#define MAX_MEMBERS 12

/* A member whose value follows from the kind of the samples, which is the place of an audioType among those allowed: audioType,
 * the bitDepth in the same place, and a member for which one string is allowed. Its objects belong to the table. */
typedef struct {
    PyObject *name;
    Py_ssize_t offset;           /* where a TALAudio keeps it */
    PyObject *usual;             /* the default, as `blank` has it */
    PyObject *values[MAX_KINDS];
} Fixed;

/* A member that is any string, or an integer from `low` to `high`. Its name belongs to the table. */
typedef struct {
    PyObject *name;
    Py_ssize_t offset;
    PyObject *usual;
    int is_text;
    long long low, high;
} Varying;

/* What the fast paths know about TALAudio, from the table of its members in wav_streaming/tal.py. */
typedef struct {
    PyObject_HEAD
    State *state;
    PyTypeObject *type; /* TALAudio */
    PyObject *encode;   /* msgspec's, to and from JSON */
    PyObject *decode;
    PyObject *unset;
    PyObject *table;    /* tal.MEMBERS */
    PyObject *copy;     /* TALAudio.__copy__ */
    PyObject *blank;    /* a TALAudio with its defaults */
    PyObject *defaults; /* the same as a dict */
    Py_ssize_t extra;   /* where a TALAudio keeps _extra */
    int kinds, fixed_count, varying_count;
    long long sample_size[MAX_KINDS]; /* in bytes */
    int channels, sign, order;        /* places among the varying members */
    Fixed fixed[MAX_MEMBERS];
    Varying varying[MAX_MEMBERS];
    PyObject *leads[MAX_KINDS][STYLES][MAX_MEMBERS]; /* bytes: what a header has before each value that varies */
} TalCodec;

/* The values of a header. */
typedef struct {
    int kind;
    long long integers[MAX_MEMBERS]; /* of a varying member that is one, in its place */
    PyObject *texts[MAX_MEMBERS];    /* of one that is a string: borrowed, exactly a str */
} Tal;

static inline PyObject **slot_of(PyObject *tal, Py_ssize_t offset) { return (PyObject **)((char *)tal + offset); }

/* Whether a payload of `size` bytes is whole sample frames. */
static inline int whole_samples(const TalCodec *self, const Tal *tal, Py_ssize_t size) {
    return size % (self->sample_size[tal->kind] * tal->integers[self->channels]) == 0;
}

/* Whether a TALAudio is valid and has nothing beside its members. No error is ever set. */
int read_tal(const TalCodec *self, PyObject *object, Tal *into);

/* A method of TalCodec. */
PyObject *TalCodec_decode_original(TalCodec *self, PyObject *const *args, Py_ssize_t count);
extern const char TalCodec_decode_original_doc[];

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
