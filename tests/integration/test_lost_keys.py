"""A key that is gone from a home with a log is not replaced unasked: its pictures would read as unmarked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from countermark import Countermark
from countermark.cli.doctor import _keys
from countermark.errors import KeyUnavailable
from countermark.keys import Purpose
from countermark.keys.ring import OF_AN_INSTALLATION


@pytest.mark.parametrize("purpose", OF_AN_INSTALLATION)
def test_a_lost_key_is_made_anew_only_on_request(build: Callable[..., Countermark], purpose: Purpose) -> None:
    with build() as cm:
        home = cm.home
    path = home.keys.folder / f"{purpose}-00.key"
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(KeyUnavailable, match=f"gone from .*: {purpose}") as caught:
        build()
    assert "backup" in caught.value.remedy
    assert not path.exists()
    told = _keys(home.settings)
    assert (told.state, told.detail) == ("failed", f"gone: {purpose}")
    path.write_bytes(kept)
    path.chmod(0o600)
    build().close()


def test_a_new_watermark_key_is_made_on_request(build: Callable[..., Countermark]) -> None:
    with build() as cm:
        home = cm.home
    (home.keys.folder / "watermark-00.key").unlink()
    assert [info.purpose for info in home.keys.ensure()] == [Purpose.WATERMARK]
    build().close()
