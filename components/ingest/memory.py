"""How a process that decodes one image after another uses memory."""

import ctypes
import os
import resource
from pathlib import Path

MOST = 2 << 30  # bytes that a process may take besides its code: several times what the largest object needs
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt(3)
KEPT, MAPPED = 1 << 28, 1 << 25


def keep_freed_memory() -> None:
    """Keep what an image's buffers leave for the next one's.

    glibc gives such large pieces back at once, and the next image then costs a page fault for every 4 KiB: more than
    decoding it, where the pixels are not compressed. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, KEPT)
        mallopt(MMAP_THRESHOLD, MAPPED)


def limit_memory() -> None:
    """End in a MemoryError what would take more than any radiograph needs, and never write a core: it holds pixels."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + MOST, size + MOST))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
