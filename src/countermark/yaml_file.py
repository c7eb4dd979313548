"""Files of rules that people edit: YAML of a bounded size, without aliases, every fault as file:line:column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.scalarbool import ScalarBoolean

from countermark.errors import PolicyInvalid
from countermark.files import open_file

MAX_BYTES: Final = 8_000_000

Schema = TypeVar("Schema", bound=BaseModel)


def read_yaml_file(path: Path, schema: type[Schema], *, at_most: int = MAX_BYTES) -> Schema:
    """Read and validate one file.

    Args:
        path: of the file.
        schema: what it must hold.
        at_most: its largest size in bytes.

    Raises:
        PolicyInvalid: it cannot be read, is too large, not YAML, uses aliases, or breaks the schema; the message names
            every fault as ``file:line:column``.
    """
    try:
        with open_file(path) as file:
            raw = file.read(at_most + 1)
    except OSError as error:
        raise PolicyInvalid(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(raw) > at_most:
        raise PolicyInvalid(f"{path} is larger than {at_most:,} bytes, the most that such a file may hold.")
    return parse_yaml(raw, str(path), schema)


def parse_yaml(raw: bytes, name: str, schema: type[Schema]) -> Schema:
    """Validate the bytes of a file, which errors call ``name``.

    Raises:
        PolicyInvalid: as :func:`read_yaml_file`.
    """
    document = _parsed(raw, name)
    if not isinstance(document, CommentedMap):
        needed = [field.alias or key for key, field in schema.model_fields.items() if field.is_required()]
        raise PolicyInvalid(f"{name}:1:1: the file must be a mapping with {', '.join(needed)}.")
    try:
        return schema.model_validate(_plain(document))
    except ValidationError as error:
        faults = [f"{name}:{_position(document, e['loc'])}: {_path(e['loc'])}: {e['msg']}" for e in error.errors()]
        raise PolicyInvalid("\n".join(faults)) from error


class _WithoutAliases(Composer):
    """Refuses aliases: a few nested ones unfold to gigabytes, and a rule should read top to bottom."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.parser.check_event(AliasEvent):
            mark = self.parser.peek_event().start_mark
            raise MarkedYAMLError(problem="aliases are not allowed", problem_mark=mark)
        return super().compose_node(parent, index)


def _parsed(raw: bytes, name: str) -> Any:
    reader = YAML(typ="rt")
    reader.Composer = _WithoutAliases
    try:
        return reader.load(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PolicyInvalid(f"{name}: byte {error.start} is not UTF-8.") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise PolicyInvalid(f"{where}: not valid YAML: {error.problem}.") from error
    except RecursionError:
        raise PolicyInvalid(f"{name}: nested too deeply to be read.") from None
    except (YAMLError, ValueError) as error:
        raise PolicyInvalid(f"{name}: not valid YAML: {error}.") from error


def _plain(node: Any) -> Any:
    if isinstance(node, CommentedMap):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value) for value in node]
    if isinstance(node, ScalarBoolean):  # true or false with an anchor: to Python a number
        return bool(node)
    return node


def _path(location: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in location if part != "[key]") or "the file"


def _position(document: CommentedMap, location: Sequence[str | int]) -> str:
    """Line and column of the deepest node of ``location`` that exists."""
    node: Any = document
    line, column = 0, 0
    for part in location:
        if isinstance(node, CommentedMap) and part in node:
            line, column = node.lc.key(part)
            node = node[part]
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line, column = node.lc.item(part)
            node = node[part]
    return f"{line + 1}:{column + 1}"
