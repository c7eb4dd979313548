"""docs/settings.md and docs/exit-codes.md say what the code says, and leave nothing out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from countermark.cli import bench_redteam, check, hashes
from countermark.cli.exit_codes import EXIT_CODES
from countermark.cli.log import verifying
from countermark.cli.main import INTERRUPTED
from countermark.cli.reference import PAGES, errors
from countermark.errors import CountermarkError
from countermark.model import Verdict
from countermark.safety.adapters.options import ImageOpinion, PromptOpinion
from countermark.settings import Settings, WitnessSettings, load_settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def sections(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from sections(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.description


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_pages_are_those_of_the_code(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "make it anew: python -m countermark.cli.reference docs"


def test_every_setting_is_on_the_page_with_its_sentence() -> None:
    page = (DOCS / "settings.md").read_text()
    listed = [model for union in (PromptOpinion, ImageOpinion) for model in get_args(get_args(union)[0])]
    of_lists = [(name, f.description) for m in (WitnessSettings, *listed) for name, f in m.model_fields.items()]
    for name, sentence in [*sections(Settings), *of_lists]:
        if name == "kind":
            continue
        assert f"| `{'keys.KEY' if name == 'keys' else name}` |" in page
        assert sentence
        assert re.sub(r"\(docs/\S+\)", "", sentence).rstrip(" .") in re.sub(r"\(\[\S+\)", "", page)
        assert sentence.endswith(".")


def test_every_example_of_the_page_is_taken(tmp_path: Path) -> None:
    examples = re.findall(r"```toml\n(.*?)```", (DOCS / "settings.md").read_text(), re.DOTALL)
    assert len(examples) > 8
    for example in examples:
        (tmp_path / "countermark.toml").write_text(example)
        load_settings({}, {"COUNTERMARK_CONFIG": str(tmp_path / "countermark.toml")})


def test_every_variable_of_the_page_is_one() -> None:
    page = (DOCS / "settings.md").read_text()
    variables = set(re.findall(r"\| `(COUNTERMARK_\w+)` \|", page)) - {"COUNTERMARK_KEYS__KEY"}
    names = set(load_settings({}, {}).origins)
    assert {v.removeprefix("COUNTERMARK_").lower().replace("__", ".") for v in variables} <= names
    assert len(variables) > 20


def test_every_exit_code_is_on_the_page() -> None:
    of_results = {0, 20, 21}  # Result.exit_code
    known = {verdict.exit_code for verdict in Verdict} | {error.exit_code for error in errors()} | of_results
    known |= {*check._EXIT.values(), hashes._EXIT_LISTED, hashes._EXIT_NOT_LOOKED, INTERRUPTED}
    known |= {verifying._PROOF_FAILED, bench_redteam._PROOF_FAILED}
    assert {row.code for row in EXIT_CODES} == known


def test_every_kind_of_error_has_a_code_of_its_own() -> None:
    defined = {
        node.name
        for node in ast.parse((ROOT / "src/countermark/errors.py").read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    found = list(errors())
    assert {error.__name__ for error in found} == defined
    assert len({error.code for error in found}) == len(found)
    assert all(issubclass(error, CountermarkError) for error in found)


def test_every_page_is_named_to_those_who_use_it_and_to_those_who_mend_it() -> None:
    readme, contributing = (ROOT / "README.md").read_text(), (ROOT / "CONTRIBUTING.md").read_text()
    for page in DOCS.glob("*.md"):
        assert f"(docs/{page.name})" in readme
        assert page.stem.replace("-", " ") in contributing


def test_the_glossary_explains_no_word_that_nobody_uses() -> None:
    source = "".join(path.read_text().lower() for path in (ROOT / "src").rglob("*.py"))
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    assert len(words) > 20
    assert [word for word in words if word not in source] == []
