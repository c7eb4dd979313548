"""Files that somebody names: opening them, and writing new ones.

Only regular ones are opened, since a pipe or a device may never end, or never begin; new ones are whole or not there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

from countermark.errors import NotFound, OutputUnwritable, UsageError


def open_file(path: Path) -> BinaryIO:
    """Open a regular file, or a link to one, for reading bytes; anything else is not opened at all.

    Raises:
        OSError: as :func:`check_file`, or it cannot be read.
    """
    check_file(path)
    return path.open("rb")


def read_small(path: Path, what: str, *, at_most: int, remedy: str) -> bytes:
    """The bytes of a small file that a command names: a receipt, a checkpoint, a list of keys.

    Args:
        path: where it is.
        what: it should be, with its article, as errors call it.
        at_most: its largest size in bytes.
        remedy: where to get such a file.

    Raises:
        NotFound: there is no such file.
        UsageError: it is a folder, a pipe or a device, or too large.
        OSError: the system does not let us read it.
    """
    try:
        with open_file(path) as file:
            data = file.read(at_most + 1)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a name that no file can have
        raise NotFound(f"There is no file {path}.") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder, not {what}.", remedy=remedy) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # of all the others the user is told that it is no fault of the request
            raise
        raise UsageError(f"{path} cannot be read: {error.strerror}.", remedy=remedy) from error
    if len(data) > at_most:
        raise UsageError(f"{path} is too large to be {what}.", remedy=remedy)
    return data


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


def write_new(path: Path, data: bytes, *, overwrite: bool = False, private: bool = False) -> None:
    """Write a file whole or not at all; an existing one is kept unless told otherwise.

    Args:
        path: where to.
        data: its bytes.
        overwrite: replace what is there.
        private: for its owner alone to read.

    Raises:
        OutputUnwritable: the folder is missing or closed, the disk is full, or the file exists.
    """
    temporary = path.parent / f".countermark-{secrets.token_hex(8)}.tmp"  # the name itself may be as long as it can be
    try:
        with temporary.open("xb") as file:
            if private:
                temporary.chmod(0o600)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            _name(temporary, path)
    except FileExistsError as error:
        raise OutputUnwritable(
            f"{path} exists already.", remedy="Choose another name, or remove the old file first."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise OutputUnwritable(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _name(temporary: Path, path: Path) -> None:
    """Give a finished file its name, unless that is taken."""
    try:
        os.link(temporary, path)  # fails where the file exists, unlike rename
    except FileExistsError:
        raise
    except OSError:  # FAT and many shared folders have no hard links
        path.open("xb").close()  # takes the name; a crash at this very point leaves it to an empty file
        temporary.replace(path)
