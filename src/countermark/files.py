"""Opening files that somebody names: regular ones alone, since a pipe or a device may never end, or never begin.

And keeping the names of new ones.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_file(path: Path) -> BinaryIO:
    """Open a regular file, or a link to one, for reading bytes; anything else is not opened at all.

    Raises:
        OSError: as :func:`check_file`, or it cannot be read.
    """
    check_file(path)
    return path.open("rb")


def sync_folder(folder: Path) -> None:
    """See that the names in a folder outlive a power cut; nothing on Windows, where folders cannot be opened.

    Raises:
        OSError: the disk refuses.
    """
    if os.name == "nt":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def check_file(path: Path) -> None:
    """Make sure that a path leads to a regular file; nothing is opened.

    Raises:
        OSError: there is no such file, or it is a folder, a pipe, a socket or a device; ``strerror`` says which.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))
