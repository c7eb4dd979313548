"""The numbers of the lattice watermark.

What a detector reads belongs to version 1 of the payload: changing it makes a new version. Masks, similarity and
rebalancing are the embedder's alone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parameters:
    """The constants of one version, each with what it is for.

    Attributes:
        canonical_side: geometric-mean side of the canonical plane, in pixels; the mark's scale is tied to it.
        small_image_side: images with a geometric-mean side up to this use half the canonical side, so that their
            mark is not so coarse that it hides behind a handful of pixels.
        tile: side of the square tile that repeats over the canonical plane.
        super_tile: side, in tiles, of the square within which each tile has signs of its own.
        radius_min, radius_max: the annulus of tile frequencies (cycles a tile) that carries the mark. Lower is hidden
            by the picture; higher does not survive shrinking and strong compression.
        amplitude_slope: a coefficient of radius r has amplitude r**-slope, like the spectra of pictures.
        pilot_share: share of the coefficients' dimensions that carry known signs, for shift and channel gain.
        tone_orbits: tones come in orbits of four under quarter turns and flips; how many orbits.
        tone_radius_min, tone_radius_max: radii (cycles a tile) between which the orbits are spread evenly.
        tone_energy: share of the mark's energy spent on the tones.
        placement_step: a record's pattern begins at a multiple of this, in canonical pixels: whole tiles, so that
            an unmoved picture shows them uncut, and few enough to be found at once.
        code_length: length of the polar code, a power of two.
        list_size: paths of the list decoder.
        masks: exponent and floor of the strength as a function of local contrast, the most robust first; the later
            ones move the mark from flat regions to busy ones.
        mask_cap: local contrast, in grey levels, beyond which a mark grows no stronger.
        similarity_min: the predicted SSIM below which the next mask is tried.
        rebalancing: how strongly coded bits that the picture opposes are reinforced at the expense of others.
        rebalancing_range: bounds of that gain.
    """

    canonical_side: int = 512
    small_image_side: int = 330
    tile: int = 64
    super_tile: int = 8
    radius_min: float = 3.5
    radius_max: float = 14.0
    amplitude_slope: float = 1.0
    pilot_share: float = 0.18
    tone_orbits: int = 6
    tone_radius_min: float = 6.5
    tone_radius_max: float = 14.6
    tone_energy: float = 0.12
    placement_step: int = 64
    code_length: int = 512
    list_size: int = 16
    masks: tuple[tuple[float, float], ...] = ((0.5, 1.2), (0.65, 0.8), (0.8, 0.6))
    mask_cap: float = 18.0
    similarity_min: float = 0.972
    rebalancing: float = 0.6
    rebalancing_range: tuple[float, float] = (0.4, 2.2)

    @property
    def period(self) -> int:
        """Side, in canonical pixels, after which the mark repeats: tile × super-tile."""
        return self.tile * self.super_tile


V1 = Parameters()
"""The parameters of payload version 1."""
