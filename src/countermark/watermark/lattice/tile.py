r"""The keyed tile: the secret waveform of one key.

The mark is a tile of 64×64 canonical pixels that repeats over the picture. It is built in the tile's own discrete
Fourier transform, so that each coefficient is a *dimension* of the channel: real and imaginary part of every
frequency of an annulus are a pair of dimensions, each with its own amplitude and keyed sign (spread spectrum:
Cox, Kilian, Leighton and Shamoon, "Secure spread spectrum watermarking for multimedia", IEEE Trans. Image Processing
6(12), 1997). Three kinds of dimensions share the annulus:

* **tones** are strong and the same in every tile: peaks in the spectrum of the whole picture, whose lattice gives
  away scale, rotation and aspect (a template in the Fourier domain: Pereira and Pun, "Robust template matching for
  affine resistant image watermarks", IEEE Trans. Image Processing 9(6), 2000), and whose phases give the shift.
  Their set is closed under quarter turns and flips, so that a search over ±45° covers every orientation;
* **pilots** carry known signs, and measure what is left of the mark at each radius;
* **data** carry the coded bits.

All but the tones are multiplied, tile by tile, with a keyed **super-tile** of 8×8 signs. Folding or averaging tiles
therefore cancels them: neither the average of one picture's tiles nor that of many pictures reveals the waveform.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
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
        parameters: the constants it was built with.
        rows, columns: where each frequency (a pair of dimensions) lies in the tile's DFT; columns are never negative
            frequencies, so that a real transform holds all of them.
        amplitude: amplitude of each dimension.
        signs: keyed sign of each dimension.
        band: ring of each dimension, 0 to BANDS - 1.
        is_tone: which dimensions belong to tones.
        pilots: indices of the pilot dimensions.
        data: indices of the data dimensions.
        coded_bit: for each of ``data``, which coded bit it carries.
        super_tile: 8×8 signs.
        tones: frequencies (u, v) of the tones, cycles a tile.
        tone_template: conjugate DFT of the tile that holds the tones only, for correlation.
    """

    parameters: Parameters
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    amplitude: NDArray[np.float64]
    signs: NDArray[np.float64]
    band: NDArray[np.intp]
    is_tone: NDArray[np.bool_]
    pilots: NDArray[np.intp]
    data: NDArray[np.intp]
    coded_bit: NDArray[np.intp]
    super_tile: NDArray[np.float32]
    tones: NDArray[np.float64]
    tone_template: NDArray[np.complex64]

    @property
    def size(self) -> int:
        """The number of dimensions."""
        return len(self.signs)

    def waveform(self, codeword: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The dimension vector that carries a codeword (bit 0 keeps the sign, bit 1 turns it)."""
        vector = self.signs * self.amplitude
        vector[self.data] *= 1.0 - 2.0 * codeword[self.coded_bit]
        return vector

    def plane(self, vector: NDArray[np.float64], height: int, width: int) -> NDArray[np.float32]:
        """A dimension vector laid over a canonical plane: tiled, signed by the super-tile, of unit deviation."""
        side = self.parameters.tile
        repeats = (-(-height // side), -(-width // side))
        constant = synthesise(self, vector * self.is_tone).astype(np.float32)
        signed = synthesise(self, vector * ~self.is_tone).astype(np.float32)
        rows, columns = np.ogrid[: repeats[0], : repeats[1]]
        sign = self.super_tile[rows % self.parameters.super_tile, columns % self.parameters.super_tile]
        tiles = constant + sign[:, :, None, None] * signed
        plane = tiles.transpose(0, 2, 1, 3).reshape(repeats[0] * side, repeats[1] * side)[:height, :width]
        return np.ascontiguousarray(plane / plane.std())


def synthesise(tile: KeyedTile, vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 64×64 pixels of a dimension vector (inverse of :func:`analyse` on the annulus)."""
    return _synthesise(tile.rows, tile.columns, tile.parameters.tile, vector)


def analyse(tile: KeyedTile, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """The dimension vectors (n × size) of ``tiles`` (n × 64 × 64)."""
    spectrum = fft.rfft2(tiles)[:, tile.rows, tile.columns] / np.float32(tile.parameters.tile)
    return np.stack([spectrum.real, spectrum.imag], axis=2).reshape(len(tiles), -1)


def _synthesise(
    rows: NDArray[np.intp], columns: NDArray[np.intp], side: int, vector: NDArray[np.float64]
) -> NDArray[np.float64]:
    pairs = vector.reshape(-1, 2)
    values = pairs[:, 0] + 1j * pairs[:, 1]
    spectrum = np.zeros((side, side), complex)
    spectrum[rows, columns] = values
    spectrum[-rows % side, -columns % side] = values.conj()
    return np.asarray(np.fft.ifft2(spectrum).real * side)


def _choose_tones(key: bytes, parameters: Parameters) -> set[tuple[int, int]]:
    """Keyed orbits of tones {(u, v), (v, u), (-u, v), (-v, u)}; their negatives are implied by conjugation."""
    limit = int(parameters.radius_max)
    candidates = [
        (u, v)
        for u in range(2, limit + 1)
        for v in range(1, u)
        if parameters.tone_radius_min <= np.hypot(u, v) <= parameters.radius_max - 0.4
    ]
    order = keystream.permutation(key, "tones", len(candidates))
    chosen = [candidates[index] for index in order[: parameters.tone_orbits]]
    return {tone for u, v in chosen for tone in ((u, v), (v, u), (-u, v), (-v, u))}


@lru_cache(maxsize=32)
def keyed_tile(key: bytes, parameters: Parameters = V1) -> KeyedTile:
    """The tile of a key; built once and kept."""
    side = parameters.tile
    frequency = np.fft.fftfreq(side) * side
    u, v = np.meshgrid(frequency, frequency)
    radius = np.hypot(u, v)
    half_plane = (u > 0) | ((u == 0) & (v > 0))
    annulus = half_plane & (radius >= parameters.radius_min) & (radius <= parameters.radius_max)
    rows, columns = np.nonzero(annulus)
    radii = np.repeat(radius[annulus], 2)

    tones = _choose_tones(key, parameters)
    frequencies = [(int(frequency[column]), int(frequency[row])) for row, column in zip(rows, columns, strict=True)]
    is_tone = np.repeat([(a, b) in tones or (-a, -b) in tones for a, b in frequencies], 2)
    carriers = np.flatnonzero(~is_tone)
    carriers = carriers[keystream.permutation(key, "dimensions", len(carriers))]
    pilots, data = np.split(carriers, [int(parameters.pilot_share * len(radii))])

    amplitude = radii**-parameters.amplitude_slope
    energy = amplitude**2
    ratio = parameters.tone_energy / (1 - parameters.tone_energy)
    amplitude[is_tone] *= np.sqrt(ratio * energy[~is_tone].sum() / energy[is_tone].sum())

    dimension_signs = keystream.signs(key, "signs", len(radii))
    template = np.fft.fft2(_synthesise(rows, columns, side, dimension_signs * is_tone)).conj()
    edges = np.linspace(parameters.radius_min, parameters.radius_max, BANDS + 1)[1:-1]
    super_side = parameters.super_tile
    return KeyedTile(
        parameters=parameters,
        rows=rows,
        columns=columns,
        amplitude=amplitude,
        signs=dimension_signs,
        band=np.digitize(radii, edges),
        is_tone=is_tone,
        pilots=pilots,
        data=data,
        coded_bit=np.arange(len(data)) % parameters.code_length,
        super_tile=keystream.signs(key, "super-tile", super_side**2).reshape(super_side, -1).astype(np.float32),
        tones=np.array(sorted(tones), float),
        tone_template=template.astype(np.complex64),
    )
