"""Model files and their digests: nothing is loaded that is not the file that was released."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from countermark.errors import WeightsMismatch, WeightsMissing

MANIFEST: Final = "digests.json"


class WeightFiles:
    """A folder of model files with a manifest of SHA-256 digests, ``{"files": {name: digest}}``.

    Args:
        folder: holds the files and ``digests.json``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def _digests(self) -> dict[str, str]:
        try:
            files: dict[str, str] = dict(json.loads((self.folder / MANIFEST).read_bytes())["files"])
        except FileNotFoundError as error:
            raise WeightsMissing(f"The manifest of model files {self.folder / MANIFEST} is missing.") from error
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise WeightsMismatch(f"The manifest of model files {self.folder / MANIFEST} cannot be read.") from error
        return files

    @property
    def digest(self) -> str:
        """One digest over all files: the SHA-256 of the sorted manifest.

        Raises:
            WeightsMissing: there is no manifest.
            WeightsMismatch: the manifest cannot be read.
        """
        canonical = json.dumps(self._digests, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def checked(self, name: str) -> Path:
        """The path of a file whose digest is the manifest's.

        Raises:
            WeightsMissing: the file, or its digest, is not there.
            WeightsMismatch: its digest is another.
        """
        if name not in self._digests:
            raise WeightsMissing(f"The manifest in {self.folder} does not name the model file {name}.")
        path = self.folder / name
        check_digest(path, self._digests[name])
        return path

    def check_all(self) -> None:
        """Check every file of the manifest; raises what :meth:`checked` raises."""
        for name in self._digests:
            self.checked(name)


def check_digest(path: Path, expected: str) -> None:
    """Compare a file's SHA-256 with the expected one.

    Raises:
        WeightsMissing: there is no such file.
        WeightsMismatch: the digests differ.
    """
    try:
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsMissing(f"The model file {path} cannot be read: {error.strerror or error}.") from error
    if actual != expected:
        raise WeightsMismatch(f"The model file {path} has the SHA-256 digest {actual}, not {expected}.")


def write_manifest(folder: Path, names: list[str]) -> None:
    """Write ``digests.json`` for the files of ``folder`` named (used when weights are made)."""
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sorted(names)}
    (folder / MANIFEST).write_text(json.dumps({"files": files}, indent=2) + "\n", encoding="utf-8")


def read_word_groups(path: Path) -> dict[str, str]:
    """A file of words that ships with the package: YAML, names of groups to words with white space between them.

    Raises:
        WeightsMissing: it cannot be read.
        WeightsMismatch: it holds something else.
    """
    try:
        groups = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsMissing(f"The word list {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, YAMLError) as error:
        raise WeightsMismatch(f"The word list {path} cannot be read.") from error
    if not isinstance(groups, dict) or not all(isinstance(part, str) for pair in groups.items() for part in pair):
        raise WeightsMismatch(f"The word list {path} holds no groups of words.")
    return groups
