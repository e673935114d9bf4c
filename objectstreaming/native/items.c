/* The iterator that feed() returns. */
#include "native.h"

typedef struct {
    PyObject_HEAD
    PyObject *owner; /* NULL once the iteration has ended */
    PyObject *(*next)(PyObject *owner);
} Items;

PyObject *new_items(State *state, PyObject *owner, PyObject *(*next)(PyObject *owner)) {
    Items *self = PyObject_GC_New(Items, state->items);
    if (self == NULL) {
        return NULL;
    }
    self->owner = Py_XNewRef(owner);
    self->next = next;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static PyObject *Items_next(Items *self) {
    PyObject *owner = self->owner, *item;
    if (owner == NULL) {
        return NULL;
    }
    Py_INCREF(owner); /* what runs in between may end this iteration */
    item = self->next(owner);
    if (item == NULL) { /* like a generator: once it has ended or raised, it has ended for good */
        Py_CLEAR(self->owner);
    }
    Py_DECREF(owner);
    return item;
}

static int Items_traverse(Items *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->owner);
    return 0;
}

static int Items_clear(Items *self) {
    Py_CLEAR(self->owner);
    return 0;
}

static void Items_dealloc(Items *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->owner);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyType_Slot Items_slots[] = {
    {Py_tp_doc, (void *)"The frames or messages that are whole, one by one; made by feed()."},
    {Py_tp_dealloc, Items_dealloc},
    {Py_tp_traverse, Items_traverse},
    {Py_tp_clear, Items_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, Items_next},
    {0, NULL},
};

PyType_Spec Items_spec = {
    .name = "objectstreaming._native.Items",
    .basicsize = sizeof(Items),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Items_slots,
};
