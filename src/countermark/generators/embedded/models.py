"""The four learned parts of the embedded generator.

``SceneAutoencoder`` maps 64×64 pictures to 16×16 latents and back, ``SceneTransformer`` predicts the flow-matching
velocity of those latents, ``WordEncoder`` turns word numbers into vectors, ``SceneUpsampler`` draws the picture of 512
or 768 pixels a side from the autoencoder's last features. Every convolution pads by repeating the border: zero padding
shows as a frame round the picture.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn


def conv3(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3×3 convolution that repeats the border."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate")


def start_at_zero(layer: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    """Zero a layer, so that the residual branch it ends begins as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Residual(nn.Module):
    """Two 3×3 convolutions around a skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv3(channels, channels)
        self.second = conv3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return x + cast(Tensor, self.second(F.silu(self.first(F.silu(x)))))


class SceneAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """64×64 RGB in -1..1 to standardised 16×16 latents and back.

    Trained with noise of a fixed strength on the latents and a light penalty on their size (a variational
    autoencoder of constant variance), so that latents which are slightly off still decode cleanly.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, channels: int = 8, width: int = 64, features: int = 16) -> None:
        super().__init__()
        half = width // 2
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2), conv3(12, half), Residual(half), nn.SiLU(),
            nn.Conv2d(half, width, 2, stride=2), Residual(width), Residual(width), nn.SiLU(), conv3(width, channels),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            conv3(channels, width), Residual(width), Residual(width), conv3(width, half * 4), nn.PixelShuffle(2),
            Residual(half), nn.SiLU(), conv3(half, features * 4), nn.PixelShuffle(2),
        )  # fmt: skip
        self.to_rgb = conv3(features, 3)
        self.register_buffer("latent_mean", torch.zeros(channels, 1, 1))
        self.register_buffer("latent_std", torch.ones(channels, 1, 1))
        self.latent_mean: Tensor
        self.latent_std: Tensor

    def encode(self, pictures: Tensor) -> Tensor:
        """B×3×64×64 in -1..1 to B×C×16×16 with zero mean and unit variance over the training set."""
        return cast(Tensor, (self.encoder(pictures) - self.latent_mean) / self.latent_std)

    def features(self, latents: Tensor) -> Tensor:
        """B×C×16×16 to the B×F×64×64 features from which both sizes of picture are drawn."""
        return cast(Tensor, self.decoder(latents * self.latent_std + self.latent_mean))

    def picture(self, features: Tensor) -> Tensor:
        """Features to B×3×64×64, roughly within -1..1."""
        return cast(Tensor, self.to_rgb(F.silu(features)))

    def decode(self, latents: Tensor) -> Tensor:
        """B×C×16×16 to B×3×64×64."""
        return self.picture(self.features(latents))


class WordEncoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Words to vectors: a table, one transformer layer, and a learnt vector that stands for the empty prompt.

    The vocabulary is part of the configuration, so the words and their rows in the table cannot drift apart.
    Number 0 is padding, the k-th word has number k.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, words: tuple[str, ...] = (), dim: int = 128, heads: int = 4, max_words: int = 32) -> None:
        super().__init__()
        self.table = nn.Embedding(len(words) + 1, dim)
        self.position = nn.Parameter(torch.randn(max_words, dim) * 0.1)
        self.layer = nn.TransformerEncoderLayer(dim, heads, dim * 3, 0.0, "gelu", batch_first=True, norm_first=True)
        self.norm = nn.LayerNorm(dim)
        self.empty = nn.Parameter(torch.randn(dim) * 0.1)

    def forward(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Word numbers B×L to vectors B×L×D, which of them count B×L (bool), and their mean B×D."""
        known = numbers.ne(0)
        empty = ~known.any(1, keepdim=True)
        first = torch.arange(numbers.shape[1], device=numbers.device) == 0
        counts = known | (empty & first)
        x = torch.where(empty[..., None], self.empty, self.table(numbers)) + self.position[: numbers.shape[1]]
        x = self.norm(self.layer(x, src_key_padding_mask=~counts))
        weights = counts[..., None].to(x.dtype)
        return x, counts, (x * weights).sum(1) / weights.sum(1)


def channel_norm(x: Tensor) -> Tensor:
    """Layer norm over the channels of B×C×H×W (a view, not a copy, in channels-last memory)."""
    return F.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],)).permute(0, 3, 1, 2)


class ModulatedResidual(nn.Module):
    """A residual block whose second half is scaled and shifted by the condition."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.first = conv3(channels, channels)
        self.second = start_at_zero(conv3(channels, channels))
        self.modulation = start_at_zero(nn.Linear(condition, 2 * channels))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """B×C×H×W with condition B×D to the same shape."""
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, 1)
        h = self.first(F.silu(channel_norm(x)))
        return x + cast(Tensor, self.second(F.silu(channel_norm(h) * (1 + scale) + shift)))


class WordAttention(nn.Module):
    """A transformer block over the picture's tokens that attends to them and to the words together."""

    def __init__(self, dim: int, heads: int, word_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.to_word_kv = nn.Linear(word_dim, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)
        self.widen = nn.Linear(dim, 4 * dim, bias=False)
        self.narrow = nn.Linear(4 * dim, dim, bias=False)
        self.query_norm = nn.RMSNorm(dim // heads)
        self.key_norm = nn.RMSNorm(dim // heads)
        self.own_modulation = nn.Parameter(torch.zeros(6, dim))

    def _attend(self, x: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        split = (self.heads, dim // self.heads)
        q, k, v = self.to_qkv(x).view(batch, tokens, 3, *split).permute(2, 0, 3, 1, 4)
        word_k, word_v = self.to_word_kv(words).view(batch, words.shape[1], 2, *split).permute(2, 0, 3, 1, 4)
        k, v = torch.cat([k, word_k], 2), torch.cat([v, word_v], 2)
        y = F.scaled_dot_product_attention(self.query_norm(q), self.key_norm(k), v, attn_mask=mask)
        return cast(Tensor, self.to_out(y.transpose(1, 2).reshape(batch, tokens, dim)))

    def forward(self, x: Tensor, modulation: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Tokens B×N×D, modulation B×6×D, words B×L×W, mask B×1×1×(N+L) of what may be attended to."""
        a = (modulation + self.own_modulation)[:, :, None].unbind(1)
        h = F.layer_norm(x, x.shape[-1:]) * (1 + a[0]) + a[1]
        x = x + a[2] * self._attend(h, words, mask)
        h = F.layer_norm(x, x.shape[-1:]) * (1 + a[3]) + a[4]
        return x + a[5] * cast(Tensor, self.narrow(F.gelu(self.widen(h), approximate="tanh")))


class SceneTransformer(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Predicts the flow-matching velocity (noise minus data) of noisy latents, given the words.

    A small U-Net: convolutions on 8×8 cells draw the detail, a transformer on 4×4 tokens that reads the words decides
    the whole. All blocks share one modulation by time and prompt and add a bias of their own (PixArt-alpha, 2023).
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(  # noqa: PLR0917 (the configuration of a saved model)
        self, channels: int = 8, width: int = 112, blocks: int = 2, dim: int = 240, depth: int = 5, heads: int = 6,
        word_dim: int = 128,
    ) -> None:  # fmt: skip
        super().__init__()
        self.enter = conv3(channels * 4, width)
        self.cell_position = nn.Parameter(torch.randn(1, width, 8, 8) * 0.1)
        self.time = nn.Sequential(nn.Linear(128, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.prompt = nn.Sequential(nn.Linear(word_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.down = nn.ModuleList(ModulatedResidual(width, dim) for _ in range(blocks))
        self.squeeze = nn.Conv2d(width, dim, 2, stride=2)
        self.token_position = nn.Parameter(torch.randn(1, 16, dim) * 0.2)
        self.modulation = start_at_zero(nn.Linear(dim, 6 * dim))
        self.middle = nn.ModuleList(WordAttention(dim, heads, word_dim) for _ in range(depth))
        self.expand = nn.Linear(dim, width * 4)
        self.merge = nn.Conv2d(2 * width, width, 1)
        self.up = nn.ModuleList(ModulatedResidual(width, dim) for _ in range(blocks))
        self.leave = start_at_zero(conv3(width, channels * 4))

    def _condition(self, noise_share: Tensor, prompt: Tensor) -> Tensor:
        steps = torch.arange(64, device=noise_share.device) / 63
        angles = torch.exp(-math.log(1e3) * steps) * 250.0 * noise_share[:, None]
        waves = torch.cat([angles.sin(), angles.cos()], -1).to(prompt.dtype)
        return F.silu(cast(Tensor, self.time(waves) + self.prompt(prompt)))

    def _middle(self, x: Tensor, condition: Tensor, words: Tensor, counts: Tensor, left_out: int | None) -> Tensor:
        batch, dim = x.shape[:2]
        tokens = x.permute(0, 2, 3, 1).reshape(batch, 16, dim) + self.token_position
        mask = torch.cat([counts.new_ones(batch, 16), counts], 1)[:, None, None]
        modulation = self.modulation(condition).view(batch, 6, dim)
        for k, block in enumerate(self.middle):
            if k != left_out:
                tokens = block(tokens, modulation, words, mask)
        tokens = self.expand(F.layer_norm(tokens, (dim,)))
        return F.pixel_shuffle(tokens.view(batch, 4, 4, -1).permute(0, 3, 1, 2), 2)

    def forward(  # noqa: PLR0917 (the words are three of them)
        self, latents: Tensor, noise_share: Tensor, words: Tensor, counts: Tensor, prompt: Tensor,
        left_out: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Latents B×C×16×16, noise share B in 0..1 (1 = all noise), encoded words; gives B×C×16×16.

        Without the middle's block `left_out` the model is a worse one, from which guidance can lead away.
        """
        condition = self._condition(noise_share, prompt)
        x = F.pixel_unshuffle(latents, 2).contiguous(memory_format=torch.channels_last)
        x = self.enter(x) + self.cell_position
        for block in self.down:
            x = block(x, condition)
        x = self.merge(torch.cat([x, self._middle(self.squeeze(x), condition, words, counts, left_out)], 1))
        for block in self.up:
            x = block(x, condition)
        return F.pixel_shuffle(self.leave(F.silu(channel_norm(x))), 2)


class Polynomials(nn.Module):
    """Smooth functions over a cell as sums of Legendre polynomials: so many numbers, whatever the pixels to a cell.

    Unlike cosines they may have any slope at the cell's border, so a straight edge can leave it at any angle.
    """

    def __init__(self, order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, pixels: int, like: Tensor) -> Tensor:
        """Values of the order² functions at the pixels² pixel centres of a cell, order²×pixels²."""
        centres = (torch.arange(pixels, device=like.device, dtype=like.dtype) * 2 + 1) / pixels - 1
        rows = [torch.ones_like(centres), centres]
        for n in range(1, self.order - 1):  # Bonnet's recursion
            rows.append(((2 * n + 1) * centres * rows[n] - n * rows[n - 1]) / (n + 1))
        norms = torch.arange(self.order, device=like.device, dtype=like.dtype).mul(2).add(1).sqrt()
        row = torch.stack(rows[: self.order]) * norms[:, None]
        functions: Tensor = torch.einsum("iy,jx->ijyx", row, row)
        return functions.reshape(self.order**2, pixels**2)


_DECISIVENESS = 8.0
"""By how much the choice's last layer is scaled: edges as sharp as a pixel need scores that differ by tens."""


class SceneUpsampler(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """64×64 features and picture to a picture of any larger size, by choosing instead of painting.

    Each pixel of a cell is a convex mixture of the colours of the 3×3 cells round it (the "convex upsampling" of
    RAFT, Teed and Deng 2020) and of what lies between them by bilinear interpolation. Choosing one colour or its
    neighbour gives edges that are sharp by construction, choosing what lies between gives gradients without steps.
    The colours chosen from are the small picture's, cleaned where a cell holds two of them. How much each of the ten
    counts is a smooth function over the cell, so the same outlines can be drawn at any number of pixels to a cell.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, features: int = 16, width: int = 64, coarse: int = 96, order: int = 5) -> None:
        super().__init__()
        self.functions = Polynomials(order)
        self.enter = nn.Sequential(conv3(features + 3, width), Residual(width), Residual(width))
        self.whole = nn.Sequential(
            nn.Conv2d(width, coarse, 2, stride=2), Residual(coarse), Residual(coarse), nn.SiLU(),
            nn.Conv2d(coarse, width * 4, 1), nn.PixelShuffle(2),
        )  # fmt: skip
        self.leave = nn.Sequential(Residual(width), Residual(width), nn.SiLU())
        self.clean = start_at_zero(conv3(width, 3))
        self.choose = nn.Conv2d(width, 10 * order**2, 1)
        nn.init.normal_(self.choose.weight, std=0.02)
        bias = torch.zeros(10, order**2)
        bias[9, 0] = 4 / _DECISIVENESS  # at first nearly bilinear
        self.choose.bias = nn.Parameter(bias.flatten())

    def forward(self, features: Tensor, picture: Tensor, pixels: int = 8) -> Tensor:
        """Features B×F×H×W and the small picture B×3×H×W to B×3×pH×pW, `pixels` being p."""
        x = self.enter(torch.cat([features, picture], 1))
        x = self.leave(x + self.whole(x))
        choice, cleaned = self.choose(x) * _DECISIVENESS, picture + self.clean(x)
        # In bfloat16 a gradient is a staircase whatever is chosen, so that nothing better could be learnt.
        with torch.autocast(x.device.type, enabled=False):
            return self._mixed(choice.float(), cleaned.float(), pixels)

    def _mixed(self, choice: Tensor, cleaned: Tensor, pixels: int) -> Tensor:
        batch, _, height, width = cleaned.shape
        between = F.interpolate(cleaned, scale_factor=pixels, mode="bilinear")
        between = F.pixel_unshuffle(between, pixels).view(batch, 3, pixels**2, height * width)
        colours = F.unfold(F.pad(cleaned, (1, 1, 1, 1), mode="replicate"), 3).view(batch, 3, 9, height * width)
        smooth = choice.view(batch, 10, self.functions.order**2, height * width)
        weights = torch.einsum("bnkp,ks->bnsp", smooth, self.functions(pixels, smooth)).softmax(1)
        chosen = torch.einsum("bcnp,bnsp->bcsp", colours, weights[:, :9]) + between * weights[:, 9:]
        drawn: Tensor = F.pixel_shuffle(chosen.reshape(batch, 3 * pixels**2, height, width), pixels)
        return drawn
