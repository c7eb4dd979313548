"""The lattice watermark; see :mod:`countermark.watermark.lattice.lattice`."""

from countermark.watermark.lattice.canonical import canonical_shape
from countermark.watermark.lattice.lattice import Lattice
from countermark.watermark.lattice.registration import registrations

__all__ = ["Lattice", "canonical_shape", "registrations"]
