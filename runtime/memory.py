"""Memory of a long-running process: the collector of cycles looks seldom, and what was freed stays.

Both cost more than they give where large batches come and go. Measured in the chain at full rate: the collector took an eighth
of the store, which makes no cycles at all; and half of what reading from Kafka cost streams was the kernel's, which cleared
pages that had been given back a moment before.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

COLLECT_AFTER = 50_000
"""Objects made and still alive before the collector looks again; Python's own 700 are made by every second message."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Numbers of glibc's ``mallopt`` (malloc.h)."""
KEEP_BYTES = 64 * 1024 * 1024
"""Freed memory at the end of the heap that is not given back."""
LARGEST_BYTES = 32 * 1024 * 1024
"""Larger blocks are the kernel's, each for itself; the most that glibc takes."""


def settle() -> None:
    """Arrange the process's memory; call it at the start of its work: what is there by then is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)
    with suppress(OSError, AttributeError):  # another C library than glibc
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_MMAP_THRESHOLD, LARGEST_BYTES), (_TRIM_THRESHOLD, KEEP_BYTES), (_ARENA_MAX, 1)):
            mallopt(option, value)
