"""The C2PA library, fenced in: settings that never touch the network unasked, and errors that say what happened.

Every call makes its own context, builder, reader and signer. That costs about a millisecond and buys safety in
threads and after a fork: the library's objects survive neither well.
"""

from __future__ import annotations

from typing import Any, Final, get_args
from urllib.parse import urlsplit

import c2pa

from countermark.credentials.trust import Anchors
from countermark.errors import AssetInvalid, AssetTooLarge
from countermark.model import MediaType

MEDIA_TYPES: Final = frozenset(get_args(MediaType))
STORED_MANIFEST: Final = "application/c2pa"
MAX_BYTES: Final = 64 * 2**20
MAX_MANIFEST_BYTES: Final = 16 * 2**20
C2paError: Final = c2pa.C2paError


def checked_media_type(media_type: str) -> str:
    """The media type, if it is one that we sign and read.

    Raises:
        AssetInvalid: it is not, as ``image/jpg``, which the C2PA library would take for another format.
    """
    if media_type in MEDIA_TYPES:
        return media_type
    remedy = "Say image/jpeg." if media_type == "image/jpg" else f"Use one of {', '.join(sorted(MEDIA_TYPES))}."
    raise AssetInvalid(f"{media_type!r} is not a media type that carries our credentials.", remedy=remedy)


def check_size(data: bytes, limit: int = MAX_BYTES) -> None:
    """Refuse what is larger than ``limit`` bytes before anything parses it.

    Raises:
        AssetTooLarge: it is.
    """
    if len(data) > limit:
        raise AssetTooLarge(f"{len(data)} bytes are more than the {limit} that are read.")


def reading_context(anchors: Anchors) -> Any:
    """A context that validates against ``anchors`` and never leaves this machine."""
    return c2pa.Context.from_dict({**_offline(()), "trust": anchors.to_settings()})


def signing_context(anchors: Anchors, timestamp_url: str = "") -> Any:
    """A context that signs, validates ingredients, and reaches no host but the time-stamping authority.

    Thumbnails are off (some 300 ms and 200 KB each), and so is the library's own check after signing: we read every
    file back ourselves before it is released.
    """
    host = urlsplit(timestamp_url).hostname
    settings = _offline((host,) if host else ())
    settings["verify"]["verify_after_sign"] = False
    settings["builder"] = {"thumbnail": {"enabled": False}}
    settings["trust"] = anchors.to_settings()
    return c2pa.Context.from_dict(settings)


def _offline(hosts: tuple[str, ...]) -> dict[str, Any]:
    return {
        "core": {"allowed_network_hosts": list(hosts), "allow_redirects": False},
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    }
