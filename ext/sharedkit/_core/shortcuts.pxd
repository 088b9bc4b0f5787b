"""Shortcuts for methods that a program calls most often without arguments, or with a fixed number of them.

For a method with optional arguments Cython compiles code that fills an array with their defaults and counts references
to them, even if the call has none. That takes longer than to take a free lock. A shortcut looks at the number of
arguments first, and leaves all other calls to the method.
"""

from cpython.object cimport PyObject

# How CPython calls a method that takes any arguments (METH_FASTCALL | METH_KEYWORDS): `n` positional ones, then those
# that the tuple `names` names; NULL: none.
ctypedef object (*method_call)(object self, PyObject *const *args, Py_ssize_t n, PyObject *names)

cdef extern from *:
    """
    /* Let all calls of the method, and of its copies in subclasses, go to `shortcut`; return what the method did. */
    static PyCFunctionFastWithKeywords sk_install_shortcut(PyObject *method, PyCFunctionFastWithKeywords shortcut) {
        PyMethodDef *def;
        PyCFunction was;
        if (!Py_IS_TYPE(method, &PyMethodDescr_Type)) {
            PyErr_Format(PyExc_SystemError, "not a method of a compiled class: %R", method);
            return NULL;
        }
        def = ((PyMethodDescrObject *)method)->d_method;
        if (def->ml_flags != (METH_FASTCALL | METH_KEYWORDS)) {
            PyErr_Format(PyExc_SystemError, "a shortcut has another way of being called than %R", method);
            return NULL;
        }
        was = def->ml_meth;
        def->ml_meth = (PyCFunction)(void (*)(void))shortcut;
        return (PyCFunctionFastWithKeywords)(void (*)(void))was;
    }
    """
    method_call install_shortcut "sk_install_shortcut" (object method, method_call shortcut) except NULL
