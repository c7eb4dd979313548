"""Whether the signer's certificate can be relied upon, read from the manifest store itself.

The C2PA library accepts a certificate for time-stamping as a claim signer; and for claims of specification 1 it
believes any time-stamp, so that a lapsed certificate could be used for ever. Its report shows neither the extended
key usage nor the validity. So the certificate is looked up in the store by its serial number, which the report gives.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from countermark.credentials.identity import may_sign_claims

UNTRUSTED: Final = "signingCredential.untrusted"
EXPIRED: Final = "signingCredential.expired"
UNFIT: Final = "signingCredential.invalid"
_MAX_CANDIDATES: Final = 16
_VERSION_3: Final = bytes.fromhex("a003020102")
_HEADER: Final = 8  # two DER sequence headers with two-byte lengths: every certificate of 256 bytes to 64 KiB


def doubts_about_signer(store: bytes, serial: str, *, time_certified: bool, now: datetime | None = None) -> list[str]:
    """Why the certificate with this serial number cannot be relied upon, as C2PA codes; empty where it can.

    Every certificate in ``store`` with that number must pass, so that planting a harmless namesake beside the real
    one does not help. A certificate that cannot be found counts as untrusted.

    Args:
        store: the manifest store, or a file that holds it in one piece.
        serial: the serial number, decimal.
        time_certified: whether an authority that this reader trusts says when it was signed. The library checked
            validity at that moment; without it, the certificate must be valid now.
        now: the present, UTC.
    """
    certificates = _with_serial(store, serial)
    if not certificates:
        return [UNTRUSTED]
    if not all(may_sign_claims(certificate) for certificate in certificates):
        return [UNFIT]
    moment = now or datetime.now(UTC)
    lapsed = any(moment > certificate.not_valid_after_utc for certificate in certificates)
    return [EXPIRED] if lapsed and not time_certified else []


def _with_serial(store: bytes, serial: str) -> list[x509.Certificate]:
    if not serial.isascii() or not serial.isdigit():
        return []
    number = int(serial)
    encoded = number.to_bytes(number.bit_length() // 8 + 1, "big")  # DER: a leading zero keeps it positive
    needle = _VERSION_3 + bytes([0x02, len(encoded)]) + encoded
    found: list[x509.Certificate] = []
    position = store.find(needle)
    for _ in range(_MAX_CANDIDATES):
        if position < 0:
            return found
        found += _parse_at(store, position - _HEADER, number)
        position = store.find(needle, position + 1)
    return []  # nobody needs so many: refuse to judge


def _parse_at(store: bytes, start: int, serial: int) -> list[x509.Certificate]:
    if start < 0 or store[start : start + 2] != b"\x30\x82":
        return []
    end = start + 4 + int.from_bytes(store[start + 2 : start + 4], "big")
    try:
        certificate = x509.load_der_x509_certificate(store[start:end])
    except ValueError:
        return []
    return [certificate] if certificate.serial_number == serial else []
