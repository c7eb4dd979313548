"""Reading policy files."""

from __future__ import annotations

from pathlib import Path

from countermark.errors import NotFound
from countermark.policy.schema import Policy
from countermark.resources import data_path
from countermark.yaml_file import read_yaml_file

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
    if not path.exists():
        raise NotFound(f"There is no policy file {path}.")
    return read_yaml_file(path, Policy, at_most=MAX_POLICY_BYTES)
