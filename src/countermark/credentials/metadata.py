"""IPTC metadata in XMP: the plain words about an image's origin that any photo tool shows.

Fields of the IPTC photo metadata standard 2025.1 (AI system used, its version, digital source type) and, on request,
the implicit label that GB 45438-2025 asks for in China. The prompt fields of the standard are never written: prompts
are personal data. XMP is not signed by itself; the C2PA manifest covers it, as it covers every other byte.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape

from PIL import Image, UnidentifiedImageError

from countermark.credentials.manifest import IPTC_EXTENSION, SourceType, public_model_id, software_version
from countermark.errors import AssetInvalid
from countermark.model import ModelRef
from countermark.structure import Costly, Metered, check_structure

MAX_PACKET: Final = 1 << 20
MAX_DEPTH: Final = 32
MAX_VALUE: Final = 2000
_XMP: Final = "http://ns.adobe.com/xap/1.0/"
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_TC260: Final = "http://www.tc260.org.cn/ns/AIGC/1.0/"
_FIELDS: Final = {
    f"{IPTC_EXTENSION} DigitalSourceType": "digital_source_type",
    f"{IPTC_EXTENSION} AISystemUsed": "ai_system",
    f"{IPTC_EXTENSION} AISystemVersionUsed": "ai_system_version",
    f"{_XMP} CreatorTool": "creator_tool",
    f"{_TC260} AIGC": "aigc",
}
_PROMPTS: Final = (f"{IPTC_EXTENSION} AIPromptInformation", f"{IPTC_EXTENSION} AIPromptWriterName")


@dataclass(frozen=True)
class AigcLabel:
    """The implicit label of GB 45438-2025, annex E.

    Attributes:
        producer: name or code of the service that generated the image.
        produce_id: that service's own number for it; the event id does.
        label: ``1`` generated, ``2`` possibly, ``3`` suspected.
    """

    producer: str
    produce_id: str
    label: str = "1"

    def to_json(self) -> str:
        """The label's JSON, with the fields for propagators left empty."""
        fields = {
            "Label": self.label,
            "ContentProducer": self.producer,
            "ProduceID": self.produce_id,
            "ReservedCode1": "",
            "ContentPropagator": "",
            "PropagateID": "",
            "ReservedCode2": "",
        }
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class XmpFields:
    """What a file's XMP says of its origin; empty where it says nothing.

    Attributes:
        has_prompt: whether a prompt field is present. Its content is not kept.
    """

    digital_source_type: str = ""
    ai_system: str = ""
    ai_system_version: str = ""
    creator_tool: str = ""
    aigc: str = ""
    has_prompt: bool = False


def build_xmp(model: ModelRef, *, source: SourceType = SourceType.TRAINED, aigc: AigcLabel | None = None) -> bytes:
    """An XMP packet for :func:`countermark.imaging.encode`.

    Args:
        model: named as the AI system; of a local path only the last part.
        source: the digital source type.
        aigc: the Chinese label, where the policy asks for it.

    Returns:
        The packet, UTF-8, with its processing instructions.
    """
    values = [
        ("Iptc4xmpExt:DigitalSourceType", source.uri),
        ("Iptc4xmpExt:AISystemUsed", public_model_id(model)),
        ("Iptc4xmpExt:AISystemVersionUsed", model.version),
        ("xmp:CreatorTool", f"countermark {software_version()}"),
        ("TC260:AIGC", aigc.to_json() if aigc else ""),
    ]
    body = "".join(f"<{name}>{escape(_xml_text(value))}</{name}>" for name, value in values if value)
    spaces = f'xmlns:Iptc4xmpExt="{IPTC_EXTENSION}" xmlns:xmp="{_XMP}"' + (f' xmlns:TC260="{_TC260}"' if aigc else "")
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">'
        f'<rdf:Description rdf:about="" {spaces}>{body}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def read_xmp(data: bytes) -> XmpFields | None:
    """The origin fields in a file's XMP, ``None`` where there is no packet.

    Bounded: at most 1 MiB of XML, 32 levels deep, 2,000 characters a value; document types, and with them entities,
    are refused.

    Raises:
        AssetInvalid: the file is no image, or its packet is malformed or over these bounds.
    """
    packet = _packet(data)
    return parse_xmp(packet) if packet is not None else None


def parse_xmp(packet: bytes) -> XmpFields:
    """Parse an XMP packet; see :func:`read_xmp`."""
    if len(packet) > MAX_PACKET:
        raise AssetInvalid(f"The XMP packet holds {len(packet)} bytes, more than the {MAX_PACKET} that are read.")
    collector = _Collector()
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = collector.refuse_doctype
    parser.StartElementHandler = collector.start
    parser.EndElementHandler = collector.end
    parser.CharacterDataHandler = collector.characters
    try:
        parser.Parse(packet.rstrip(b"\0"), True)
    except expat.ExpatError as error:
        raise AssetInvalid(f"The XMP packet is not well-formed XML (line {error.lineno}).") from error
    return XmpFields(**collector.values, has_prompt=collector.has_prompt)


class _Collector:
    """Gathers the known fields, written as elements or as attributes of a description."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.has_prompt = False
        self._path: list[str] = []
        self._field = ""

    def refuse_doctype(self, *_: object) -> None:
        raise AssetInvalid("The XMP packet declares a document type, which XMP has no use for.")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        if len(self._path) > MAX_DEPTH:
            raise AssetInvalid(f"The XMP packet is nested more than {MAX_DEPTH} deep.")
        for key, value in attributes.items():
            self._add(key, value)
        self.has_prompt = self.has_prompt or name in _PROMPTS or any(key in _PROMPTS for key in attributes)
        if name in _FIELDS:
            self._field = name
            if resource := attributes.get(f"{_RDF} resource"):
                self._add(name, resource)

    def end(self, name: str) -> None:
        self._path.pop()
        if name == self._field:
            self._field = ""

    def characters(self, text: str) -> None:
        if self._field and text.strip():
            self._add(self._field, text.strip())

    def _add(self, name: str, value: str) -> None:
        field = _FIELDS.get(name)
        if field is not None:
            self.values[field] = (self.values.get(field, "") + value)[:MAX_VALUE]


def _packet(data: bytes) -> bytes | None:
    """The XMP packet of an image, wherever its format keeps it; pixels are not decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            check_structure(data)
            with Image.open(Metered(data), formats=("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF")) as image:
                found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    except Costly as error:
        raise AssetInvalid(f"The file is built so that reading it would cost too much: {error}.") from error
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise AssetInvalid("The file cannot be read as an image.") from error
    if isinstance(found, str):
        return found.encode("utf-8", "replace")
    return found if isinstance(found, bytes) else None


def _xml_text(value: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(ch for ch in value if ch.isprintable())
