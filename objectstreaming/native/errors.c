/* Exceptions: made, taken away and raised again. */
#include "native.h"

PyObject *take_error(void) {
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *kind, *value, *traceback;
    PyErr_Fetch(&kind, &value, &traceback);
    PyErr_NormalizeException(&kind, &value, &traceback);
    if (value != NULL && traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(kind);
    Py_XDECREF(traceback);
    return value;
#endif
}

void give_error(PyObject *error) {
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(error);
#else
    PyErr_Restore(Py_NewRef(Py_TYPE(error)), error, PyException_GetTraceback(error));
#endif
}

void raise_message(PyObject *type, PyObject *message) {
    if (message != NULL) {
        PyErr_SetObject(type, message);
        Py_DECREF(message);
    }
}

PyObject *raise_again(PyObject *error) {
    Py_INCREF(error); /* its owner may let go of it in between */
    PyException_SetTraceback(error, Py_None);
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
    return NULL;
}

PyObject *new_frame_error(PyObject *type, PyObject *message, long long index, long long offset) {
    PyObject *error;
    if (message == NULL) {
        return NULL;
    }
    error = PyObject_CallFunction(type, "OLL", message, index, offset);
    Py_DECREF(message);
    return error;
}

PyObject *text_of_invalid_json(State *state) {
    PyObject *error, *text;
    if (!PyErr_ExceptionMatches(state->invalid_json)) {
        return NULL;
    }
    error = take_error();
    text = PyObject_Str(error);
    Py_XDECREF(error);
    return text;
}

int is_refusal(State *state) {
    return PyErr_ExceptionMatches(state->msgspec_error) || PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) ||
           PyErr_ExceptionMatches(PyExc_RecursionError);
}
