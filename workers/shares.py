"""How the arithmetic of one UNet call is spread over its units: what caching can spare at best."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from workers.units import HOLDERS, example_inputs, find_units

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from schedules.units import Role
    from workers.units import UnitModule


@dataclass(frozen=True, slots=True)
class Shares:
    """Multiply-accumulates of one UNet call on one sample, and the fraction of each unit role.

    What is missing to 1 belongs to no unit: convolutions at both ends, embeddings.
    """

    macs: int
    of: Mapping[Role, float]


def mac_shares(unet: Any, side: int, tokens: int = 77) -> Shares:
    """Return the shares of a UNet on square latents of `side` and a text of so many tokens.

    Runs the UNet once; on torch's meta device that takes neither memory nor arithmetic.
    """
    inputs = example_inputs(unet)
    sample, text = inputs["sample"], inputs["encoder_hidden_states"]
    inputs["sample"] = sample.new_zeros(1, sample.shape[1], side, side)
    inputs["encoder_hidden_states"] = text.new_zeros(1, tokens, text.shape[-1])
    workers = [entry for entry in find_units(unet).modules if entry.unit.role not in HOLDERS]
    flops: Counter[Role] = Counter()
    with FlopCounterMode(display=False) as counter, torch.no_grad(), ExitStack() as stack:
        for entry in workers:
            stack.enter_context(_counted(entry, counter, flops))
        unet(**inputs)
    total = counter.get_total_flops()
    return Shares(total // 2, {role: count / total for role, count in flops.items()})


@contextmanager
def _counted(entry: UnitModule, counter: FlopCounterMode, flops: Counter[Role]) -> Iterator[None]:
    """Add what the counter counts while a unit's module runs to the flops of its role."""

    def add(sign: int) -> None:
        flops[entry.unit.role] += sign * counter.get_total_flops()

    before = entry.module.register_forward_pre_hook(lambda _m, _x: add(-1))
    after = entry.module.register_forward_hook(lambda _m, _x, _y: add(1))
    try:
        yield
    finally:
        before.remove()
        after.remove()
