"""Several processes of one thread each that train one model: on two cores far faster than two threads of one process.

Every process computes the gradient of a batch of its own; the gradients are averaged before each step, so all of them
hold the same weights at all times.
"""

from __future__ import annotations

import os
import signal
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor

Work = Callable[["Team", Namespace], None]


@dataclass(frozen=True)
class Team:
    """The place of this process among those that train together; the first has rank 0 and writes the files."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def average(self, params: Sequence[Tensor], *numbers: float) -> list[float]:
        """Average the gradients of parameters in place, and some numbers with them."""
        if self.size == 1:
            return list(numbers)
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in params]
        flat = torch.cat([g.reshape(-1) for g in grads] + [torch.tensor(numbers)])
        dist.all_reduce(flat)
        flat /= self.size
        parts = flat.split([g.numel() for g in grads] + [len(numbers)])
        for param, part in zip(params, parts[:-1], strict=True):
            param.grad = part.view(param.shape).contiguous(memory_format=_layout(param))
        return [float(v) for v in parts[-1]]

    def agree(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the leader's values."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), 0)

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.size > 1:
            dist.barrier()


def run_team(work: Work, args: Namespace) -> None:
    """Run `work` in `args.processes` processes of one thread each; what one of them raises ends all."""
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{os.path.join(folder, 'meeting')}"  # noqa: PTH118 (a URL, not a path)
        multiprocessing.spawn(_member, (work, args, meeting), nprocs=args.processes)  # type: ignore[no-untyped-call]


def _member(rank: int, work: Work, args: Namespace, meeting: str) -> None:
    # A shell makes what it starts in the background deaf to this signal, by which torch ends the children of a parent
    # that was killed: they would train on beside those who come after them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(rank)
    if args.processes > 1:
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=args.processes)
    try:
        work(Team(rank, args.processes), args)
    finally:
        if args.processes > 1:
            dist.destroy_process_group()


def _layout(param: Tensor) -> torch.memory_format:
    channels_last = param.ndim == 4 and param.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format
