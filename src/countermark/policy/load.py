"""Reading policy files: bounded, without aliases, every error with file:line:column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent

from countermark.errors import NotFound, PolicyInvalid
from countermark.policy.schema import Policy
from countermark.resources import data_path

DEFAULT_POLICY = "policies/default.yaml"
MAX_POLICY_BYTES = 1 << 20


def load_policy(path: Path | None = None) -> Policy:
    """Load and validate a policy file; the shipped default where none is named.

    Raises:
        NotFound: there is no such file.
        PolicyInvalid: it is too large, not YAML, uses aliases, or breaks the schema; the message names every fault
            as ``file:line:column``.
    """
    path = path or data_path(DEFAULT_POLICY)
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"There is no policy file {path}.") from error
    except OSError as error:
        raise PolicyInvalid(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(raw) > MAX_POLICY_BYTES:
        raise PolicyInvalid(f"{path} holds {len(raw):,} bytes; a policy has at most {MAX_POLICY_BYTES:,}.")
    return parse_policy(raw, str(path))


def parse_policy(raw: bytes, name: str) -> Policy:
    """Validate the bytes of a policy file; ``name`` is how errors call it."""
    try:
        text = raw.decode("utf-8")
        # Aliases are refused: a few nested ones unfold to gigabytes, and a policy should read top to bottom.
        for event in YAML(typ="rt").parse(text):
            if isinstance(event, AliasEvent):
                raise PolicyInvalid(f"{name}:{event.start_mark.line + 1}: YAML aliases are not allowed in a policy.")
        document = YAML(typ="rt").load(text)
    except UnicodeDecodeError as error:
        raise PolicyInvalid(f"{name}: byte {error.start} is not UTF-8.") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise PolicyInvalid(f"{where}: not valid YAML: {error.problem}.") from error
    except (YAMLError, ValueError) as error:
        raise PolicyInvalid(f"{name}: not valid YAML: {error}.") from error
    if not isinstance(document, CommentedMap):
        raise PolicyInvalid(f"{name}:1:1: a policy is a mapping with apiVersion, kind, metadata and categories.")
    try:
        return Policy.model_validate(_plain(document))
    except ValidationError as error:
        faults = [f"{_position(document, e['loc'], name)}: {_path(e['loc'])}: {e['msg']}" for e in error.errors()]
        raise PolicyInvalid("\n".join(faults)) from error


def _plain(node: Any) -> Any:
    if isinstance(node, CommentedMap):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value) for value in node]
    return node


def _path(location: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in location if part != "[key]") or "policy"


def _position(document: CommentedMap, location: Sequence[str | int], name: str) -> str:
    """The deepest node of ``location`` that exists, as file:line:column."""
    node: Any = document
    line, column = 0, 0
    for part in location:
        if isinstance(node, CommentedMap) and part in node:
            line, column = node.lc.key(part)
            node = node[part]
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line, column = node.lc.item(part)
            node = node[part]
    return f"{name}:{line + 1}:{column + 1}"
