r"""The keyed waveform: what one key writes, before a picture shapes it.

The mark is a pattern of 512×512 canonical pixels that repeats over the picture. Most of it are *tiles* of 64×64
pixels, built in the tile's own discrete Fourier transform, so that each coefficient is a *dimension* of the channel:
real and imaginary part of every frequency of an annulus are a pair of dimensions. All 8×8 tiles carry the same
dimensions, each time under other keyed signs (spread spectrum: Cox, Kilian, Leighton and Shamoon, "Secure spread
spectrum watermarking for multimedia", IEEE Trans. Image Processing 6(12), 1997). Two kinds of dimensions share the
annulus:

* **pilots** carry known signs: they give the shift, and measure what is left of the mark at each radius;
* **data** carry the coded bits.

To the whole pattern are added **tones**: peaks in the spectrum of the picture, whose lattice gives away scale,
rotation and aspect (a template in the Fourier domain: Pereira and Pun, "Robust template matching for affine resistant
image watermarks", IEEE Trans. Image Processing 9(6), 2000). Their set is closed under quarter turns and flips, so that
a search over ±45° covers every orientation; their phases, with the pilots, give the shift.

What an attacker could average, cancels. Tiles of one picture: no two have the same signs, and no tone repeats from
tile to tile. Pictures of one key: each record places the pattern elsewhere (:meth:`KeyedTile.placement`). Who aligns
many pictures of one key first, by what they share, still learns pilots and tones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from countermark.watermark.lattice import keystream
from countermark.watermark.lattice.parameters import V1, Parameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

BANDS = 7
"""Rings of the annulus, each with a channel gain of its own."""


@dataclass(frozen=True, eq=False)
class KeyedTile:
    """One key's waveform. A *dimension vector* has one real value for each dimension.

    Attributes:
        key: the secret that it was drawn from.
        parameters: the constants it was built with.
        rows, columns: where each frequency (a pair of dimensions) lies in the tile's DFT; columns are never negative
            frequencies, so that a real transform holds all of them.
        amplitude: amplitude of each dimension.
        signs: keyed sign of each dimension in each tile, 8 × 8 × size.
        band: ring of each dimension, 0 to BANDS - 1.
        pilots: indices of the pilot dimensions.
        data: indices of the data dimensions.
        coded_bit: for each of ``data``, which coded bit it carries; the last coded bits find no dimension (the code is
            punctured by them).
        tones: frequencies (u, v) of the tones, cycles a period (512 canonical pixels).
        tone_plane: 512×512 pixels of all tones, of unit deviation.
    """

    key: bytes
    parameters: Parameters
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    amplitude: NDArray[np.float64]
    signs: NDArray[np.float32]
    band: NDArray[np.intp]
    pilots: NDArray[np.intp]
    data: NDArray[np.intp]
    coded_bit: NDArray[np.intp]
    tones: NDArray[np.float64]
    tone_plane: NDArray[np.float32]

    def __repr__(self) -> str:
        return f"KeyedTile({self.size} dimensions, {len(self.tones)} tones)"

    @property
    def size(self) -> int:
        """The number of dimensions."""
        return len(self.amplitude)

    def placement(self, record_id: int) -> tuple[int, int]:
        """Where in the pattern (row, column, in canonical pixels) the first pixel of a record's picture lies."""
        step = self.parameters.placement_step
        words = keystream.words(self.key, f"placement/{record_id}", 2)
        row, column = (int(word) % (self.parameters.period // step) * step for word in words)
        return row, column

    def waveform(self, codeword: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The dimension vector that carries a codeword (bit 0 keeps the sign, bit 1 turns it)."""
        vector = self.amplitude.copy()
        vector[self.data] *= 1.0 - 2.0 * codeword[self.coded_bit]
        return vector

    def pilot_vector(self) -> NDArray[np.float64]:
        """The dimension vector of the pilots alone."""
        vector = np.zeros(self.size)
        vector[self.pilots] = self.amplitude[self.pilots]
        return vector

    def pattern(self, vector: NDArray[np.float64]) -> NDArray[np.float32]:
        """One period (512×512): the tiles of a dimension vector, each under its signs, and the tones."""
        share, period = self.parameters.tone_energy, self.parameters.period
        deviation = np.sqrt(2 * (self.amplitude**2).sum()) / self.parameters.tile
        tiles = self.synthesise((self.signs * vector).reshape(-1, self.size))
        side, across = self.parameters.tile, self.parameters.super_tile
        plane = tiles.reshape(across, across, side, side).transpose(0, 2, 1, 3).reshape(period, period)
        return plane + np.float32(deviation * np.sqrt(share / (1 - share))) * self.tone_plane

    def synthesise(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """The pixels (n × 64 × 64) of dimension vectors (n × size); inverse of :meth:`analyse` on the annulus."""
        side = self.parameters.tile
        pairs = np.asarray(vectors, np.float32).reshape(len(vectors), -1, 2)
        values = pairs[:, :, 0] + 1j * pairs[:, :, 1]
        spectrum = np.zeros((len(vectors), side, side // 2 + 1), np.complex64)
        spectrum[:, self.rows, self.columns] = values
        # The first column is its own mirror image, of which the annulus holds one half.
        edge = self.columns == 0
        spectrum[:, -self.rows[edge] % side, 0] = values[:, edge].conj()
        return np.asarray(fft.irfft2(spectrum, (side, side)) * side, np.float32)

    def analyse(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """The dimension vectors (n × size) of ``tiles`` (n × 64 × 64)."""
        spectrum = fft.rfft2(tiles)[:, self.rows, self.columns] / np.float32(self.parameters.tile)
        return np.stack([spectrum.real, spectrum.imag], axis=2).reshape(len(tiles), -1)


def lay(pattern: NDArray[np.float32], placement: tuple[int, int], height: int, width: int) -> NDArray[np.float32]:
    """A pattern repeated over a canonical plane whose first pixel shows it at ``placement`` (row, column)."""
    period = len(pattern)
    rows = (np.arange(height) + placement[0]) % period
    columns = (np.arange(width) + placement[1]) % period
    return pattern[rows[:, None], columns[None]]


def _choose_tones(key: bytes, parameters: Parameters) -> NDArray[np.float64]:
    """Keyed orbits of tones {(u, v), (v, u), (-u, v), (-v, u)}; their negatives are implied by conjugation.

    One orbit a ring, so that no key has all its tones where a picture is strong or where compression cuts. Frequencies
    are no multiples of the tile's, so that folding a picture by tiles does not gather them.
    """
    scale = parameters.super_tile
    edges = np.linspace(parameters.tone_radius_min, parameters.tone_radius_max, parameters.tone_orbits + 1) * scale
    limit = int(edges[-1])
    u, v = (axis.ravel() for axis in np.meshgrid(np.arange(1, limit + 1), np.arange(1, limit + 1)))
    radius = np.hypot(u, v)
    usable = (u > v) & (u % scale != 0) & (v % scale != 0)
    tones: list[tuple[int, int]] = []
    for ring, (low, high) in enumerate(pairwise(edges)):
        candidates = np.flatnonzero(usable & (radius >= low) & (radius < high))
        chosen = candidates[int(keystream.words(key, f"tones/{ring}", 1)[0] % len(candidates))]
        a, b = int(u[chosen]), int(v[chosen])
        tones += [(a, b), (b, a), (-a, b), (-b, a)]
    return np.array(tones, float)


def _tone_plane(key: bytes, tones: NDArray[np.float64], parameters: Parameters) -> NDArray[np.float32]:
    period = parameters.period
    spectrum = np.zeros((period, period), complex)
    signs = keystream.signs(key, "tone phases", 2 * len(tones)).reshape(-1, 2)
    # Against the slope of pictures, like every other amplitude.
    values = np.hypot(*tones.T) ** -parameters.amplitude_slope * (signs[:, 0] + 1j * signs[:, 1])
    columns, rows = tones.astype(int).T
    spectrum[rows % period, columns % period] = values
    spectrum[-rows % period, -columns % period] = values.conj()
    plane = np.fft.ifft2(spectrum).real
    return np.asarray(plane / plane.std(), np.float32)


@lru_cache(maxsize=32)
def keyed_tile(key: bytes, parameters: Parameters = V1) -> KeyedTile:
    """The waveform of a key; built once and kept."""
    side = parameters.tile
    frequency = np.fft.fftfreq(side) * side
    u, v = np.meshgrid(frequency, frequency)
    radius = np.hypot(u, v)
    half_plane = (u > 0) | ((u == 0) & (v > 0))
    annulus = half_plane & (radius >= parameters.radius_min) & (radius <= parameters.radius_max)
    rows, columns = np.nonzero(annulus)
    radii = np.repeat(radius[annulus], 2)

    order = keystream.permutation(key, "dimensions", len(radii))
    pilots, data = np.split(order, [int(parameters.pilot_share * len(radii))])
    edges = np.linspace(parameters.radius_min, parameters.radius_max, BANDS + 1)[1:-1]
    super_side = parameters.super_tile
    signs = keystream.signs(key, "signs", super_side**2 * len(radii))
    tones = _choose_tones(key, parameters)
    return KeyedTile(
        key=key,
        parameters=parameters,
        rows=rows,
        columns=columns,
        amplitude=radii**-parameters.amplitude_slope,
        signs=signs.reshape(super_side, super_side, -1).astype(np.float32),
        band=np.digitize(radii, edges),
        pilots=pilots,
        data=data,
        coded_bit=np.arange(len(data)) % parameters.code_length,
        tones=tones,
        tone_plane=_tone_plane(key, tones, parameters),
    )
