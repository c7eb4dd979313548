"""What happens to pictures between release and verification: deterministic attacks in named groups.

Every attack takes RGB pixels, uint8, H×W×3, and returns such pixels, perhaps of another size; the input is left alone.
:data:`CORE` holds the suite whose figures are compared over time; :data:`ATTACKS` adds the unaltered picture and
groups of our own in the spirit of WAVES (An et al. 2024, "Benchmarking the robustness of image watermarks"), and
``limits``, which shows where our mark ends and is in no mean.
Regeneration by a diffusion model or autoencoder, which WAVES also has, is not here: it needs a model that nobody ships
in a package, and no mark of this kind survives it.
"""

from countermark.bench.attacks.attack import Attack, Effect, Pixels
from countermark.bench.attacks.suite import ATTACKS, CORE, EXTRA, GROUPS, select

__all__ = ["ATTACKS", "CORE", "EXTRA", "GROUPS", "Attack", "Effect", "Pixels", "select"]
