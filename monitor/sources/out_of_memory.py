"""Errors of libraries that mean that memory ran out: they say nothing of the file or table that was read."""

import errno

_WORDS = ("bad_alloc", "alloc of size", "out of memory", "Cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it means so: by its class, its number, or the words in which C++ and C libraries put it."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return any(word in str(error) for word in _WORDS)
