"""Flattened views of the entries, for spreadsheets and data frames. They are conveniences beside what is proved."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from countermark.errors import MissingExtra

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_ROWS_A_GROUP: Final = 10_000
_TEXT: Final = (
    "event_id",
    "time",
    "type",
    "source",
    "tenant",
    "attempt",
    "actor",
    "model",
    "model_version",
    "model_digest",
    "policy",
    "policy_version",
    "policy_digest",
    "decision",
    "rule",
    "reasons",
    "categories",
    "output_sha256",
    "media_type",
    "watermark",
    "watermark_payload",
    "fingerprint",
    "manifest_sha256",
    "protected",
    "parent",
    "error",
)
COLUMNS: Final = ("index", *_TEXT)


def flat_row(index: int, document: Mapping[str, Any]) -> dict[str, int | str | None]:
    """One entry as a row: lists joined by semicolons, ``categories`` those with a severity above 0."""
    parts = {name: document.get(name) or {} for name in ("actor", "model", "policy", "output")}
    severe = (check for check in document.get("checks") or () if check.get("severity"))
    values = {
        **{name: document.get(name) for name in _TEXT},
        **{name: parts["output"].get(name) for name in ("media_type", "watermark", "watermark_payload", "fingerprint")},
        "output_sha256": parts["output"].get("sha256"),
        "manifest_sha256": parts["output"].get("manifest_sha256"),
        "actor": parts["actor"].get("pseudonym"),
        "model": parts["model"].get("id"),
        "policy": parts["policy"].get("id"),
        "reasons": "; ".join(document.get("reasons") or ()),
        "categories": "; ".join(sorted({f"{check['category']}={check['severity']}" for check in severe})),
        "protected": "; ".join(c["field"] for c in document.get("protected") or ()),
    }
    for name in ("model", "policy"):
        values |= {f"{name}_version": parts[name].get("version"), f"{name}_digest": parts[name].get("digest")}
    return {"index": index, **values}


class View(Protocol):
    """A file that rows are written to."""

    def add(self, row: Mapping[str, int | str | None]) -> None:
        """Write one row."""

    def close(self) -> None:
        """Finish the file."""


class CsvView:
    """RFC 4180 with a header, UTF-8; no cell begins like a formula."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("x", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._file, COLUMNS)
        self._writer.writeheader()

    def add(self, row: Mapping[str, int | str | None]) -> None:
        """Write one row."""
        guarded = {name: f"'{v}" if str(v).startswith(_FORMULA) else v for name, v in row.items()}
        self._writer.writerow(guarded)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class ParquetView:
    """Apache Parquet, through pyarrow.

    Raises:
        MissingExtra: pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow  # type: ignore[import-untyped,unused-ignore]
            import pyarrow.parquet  # type: ignore[import-untyped,unused-ignore]
        except ModuleNotFoundError as error:
            raise MissingExtra("parquet", "An export as Parquet") from error
        self._arrow = pyarrow
        self._schema = pyarrow.schema([("index", pyarrow.int64()), *((name, pyarrow.string()) for name in _TEXT)])
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[Mapping[str, int | str | None]] = []

    def add(self, row: Mapping[str, int | str | None]) -> None:
        """Write one row."""
        self._rows.append(row)
        if len(self._rows) >= _ROWS_A_GROUP:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []
