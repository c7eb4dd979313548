"""JSON schemas (draft 2020-12) of what the log writes, made from the models.

``python -m countermark.audit.schemas FOLDER`` writes them; a test keeps the committed files equal.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from countermark.audit.bundle import BundleManifest, DisclosedField
from countermark.model import Event, Receipt

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_MODELS: dict[str, type[BaseModel]] = {
    "bundle-1": BundleManifest,
    "disclosed-1": DisclosedField,
    "event-1": Event,
    "receipt-1": Receipt,
}


def schemas() -> dict[str, dict[str, Any]]:
    """Each schema by its file's stem."""
    made = {}
    for name, model in _MODELS.items():
        schema = model.model_json_schema(by_alias=True, mode="serialization")
        made[name] = {"$schema": _DRAFT, "$id": f"urn:countermark:{name.replace('-', ':')}", **schema}
    return made


def write_schemas(folder: Path) -> None:
    """Write ``<stem>.json`` for each schema."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (folder / f"{name}.json").write_text(json.dumps(schema, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
