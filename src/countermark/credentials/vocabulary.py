"""The C2PA terms that the conformance rules of :mod:`countermark.credentials.linter` know.

Names are those of C2PA specification 2.4; which of them count as allowed, deprecated or failing follows the public
asset conformance rubric, version 0.2 for specification 2.4 (C2PA Conformance Task Force, CC BY 4.0).
"""

from __future__ import annotations

import re
from typing import Final

from countermark.credentials.manifest import AI_SOURCE_TYPES, RECORD_LABEL, SPEC_VERSION

__all__ = ["AI_SOURCE_TYPES", "RECORD_LABEL", "SPEC_VERSION"]

NO_RESULTS: Final = "MISSING_VALIDATION_RESULTS"
INCEPTION: Final = frozenset({"c2pa.created", "c2pa.opened"})
RELATIONSHIPS: Final = frozenset({"parentOf", "inputTo", "componentOf"})
HUMAN_SOURCES: Final = frozenset({"humanEntry.anonymous", "humanEntry.credentialed"})
TIFF_TYPES: Final = frozenset({"image/tiff", "image/x-adobe-dng"})
PRESERVATION_IMAGE: Final = "exif.originalPreservationImage"
NEVER_REFERENCED: Final = frozenset({"c2pa.actions", "c2pa.actions.v2", "c2pa.cloud-data", "c2pa.external-reference"})
PROMPT_FIELD: Final = re.compile(r"prompt", re.IGNORECASE)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NON_EDITORIAL: Final = _words(
    """
    c2pa.converted c2pa.edited.metadata c2pa.enhanced c2pa.published c2pa.redacted c2pa.repackaged
    c2pa.resized.proportional c2pa.transcoded c2pa.watermarked c2pa.watermarked.bound c2pa.watermarked.unbound
    """
)
"""Actions that leave what is seen alone."""

STANDARD_ASSERTIONS: Final = _words(
    """
    c2pa.actions.v2 c2pa.ai-disclosure c2pa.alternative-content-representation c2pa.assertion.metadata
    c2pa.asset-ref c2pa.asset-type.v2 c2pa.certificate-status c2pa.cloud-data c2pa.depthmap.GDepth
    c2pa.embedded-data c2pa.environmental-sustainability c2pa.external-reference c2pa.hash.bmff.v3
    c2pa.hash.boxes c2pa.hash.collection.data c2pa.hash.data c2pa.hash.data.part c2pa.hash.multi-asset c2pa.icon
    c2pa.ingredient.v3 c2pa.metadata c2pa.repository-receipt c2pa.session-keys c2pa.soft-binding
    c2pa.thumbnail.claim c2pa.thumbnail.ingredient c2pa.time-stamp font.info
    """
)
"""Assertion labels of specification 2.4."""

DEPRECATED_ASSERTIONS: Final = _words(
    """
    c2pa.actions c2pa.asset-type c2pa.claim c2pa.hash.bmff.v2 c2pa.ingredient c2pa.ingredient.v2
    """
)
"""Labels that a generator no longer writes."""

STANDARD_ACTIONS: Final = _words(
    """
    c2pa.addedText c2pa.adjustedColor c2pa.changedSpeed c2pa.color_adjustments c2pa.converted c2pa.created
    c2pa.cropped c2pa.deleted c2pa.drawing c2pa.dubbed c2pa.edited c2pa.edited.metadata c2pa.enhanced
    c2pa.filtered c2pa.mastered c2pa.mixed c2pa.opened c2pa.orientation c2pa.placed c2pa.published c2pa.redacted
    c2pa.remixed c2pa.removed c2pa.repackaged c2pa.resized c2pa.resized.proportional c2pa.transcoded
    c2pa.translated c2pa.trimmed c2pa.unknown c2pa.watermarked c2pa.watermarked.bound c2pa.watermarked.unbound
    """
)
"""Action names of specification 2.4."""

DEPRECATED_ACTIONS: Final = _words(
    """
    c2pa.color_adjustments c2pa.copied c2pa.formatted c2pa.managed c2pa.printed c2pa.produced c2pa.saved
    c2pa.version_updated c2pa.watermarked
    """
)
"""Names that a generator no longer writes."""

STANDARD_PARAMETERS: Final = _words(
    """
    description ingredient ingredients italic multipleInstances optical-size ranges redacted relatedAssertions
    slant sourceLanguage targetLanguage weight width
    """
)
"""Action parameters of specification 2.4."""

MALFORMED_CODES: Final = _words(
    """
    MISSING_VALIDATION_RESULTS assertion.action.malformed assertion.alternativeContentRepresentation.malformed
    assertion.alternativeContentRepresentation.missing assertion.bmffHash.malformed
    assertion.boxesHash.malformed assertion.boxesHash.unknownBox assertion.cbor.invalid
    assertion.collectionHash.malformed assertion.dataHash.malformed assertion.external-reference.created
    assertion.external-reference.labelMismatch assertion.external-reference.malformed
    assertion.ingredient.malformed assertion.json.invalid assertion.multiAssetHash.malformed
    assertion.multipleHardBindings claim.cbor.invalid claim.hardBindings.missing claim.malformed claim.missing
    claim.multiple hashedURI.missing ingredient.manifest.missing manifest.compressed.invalid
    manifest.html.multipleManifests manifest.inaccessible manifest.multipleParents
    manifest.structuredText.emptyReference manifest.structuredText.malformedReference
    manifest.structuredText.multipleReferences manifest.structuredText.noManifest
    manifest.structuredText.noResolutionPath manifest.timestamp.invalid manifest.timestamp.wrongParents
    manifest.update.invalid manifest.update.wrongParents
    """
)
"""Validation failures of structure."""

MISMATCH_CODES: Final = _words(
    """
    MISSING_VALIDATION_RESULTS assertion.action.ingredientMismatch assertion.action.redactionMismatch
    assertion.alternativeContentRepresentation.hashMismatch assertion.bmffHash.mismatch
    assertion.boxesHash.mismatch assertion.collectionHash.mismatch assertion.dataHash.mismatch
    assertion.external-reference.hashMismatch assertion.hardBinding.redacted assertion.hashedURI.mismatch
    assertion.multiAssetHash.mismatch claimSignature.missing hashedURI.mismatch
    ingredient.claimSignature.mismatch ingredient.claimSignature.missing ingredient.manifest.mismatch
    """
)
"""Validation failures of integrity."""
