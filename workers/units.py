"""Find the reusable units of a UNet2DConditionModel and which of them read which."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.upsampling import Upsample2D
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from schedules.units import Role, Unit, UnitGraph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

Sources = frozenset[int]

# Units that do no work of their own beside that of others.
HOLDERS = frozenset({Role.ENTRY, Role.OUTPUT})
IN_TUPLES = Transformer2DModel, UNet2DConditionModel
TAPS = {Role.TRANSFORMER: "proj_out", Role.RESNET: "conv2"}


@dataclass(frozen=True, slots=True)
class UnitModule:
    """A unit and the module that does its work.

    An entry and the UNet's output only hold the output of their module.
    """

    unit: Unit
    module: nn.Module

    @property
    def tap(self) -> nn.Module | None:
        """The layer whose output is the update before the residual sum, None for output units.

        Looked up each time: an adapter loaded or removed since puts another layer there.
        """
        name = TAPS.get(self.unit.role)
        return None if name is None else getattr(self.module, name)

    @property
    def tokens_last(self) -> bool:
        """Whether the cached value is B × positions × C; all others are B × C × h × w."""
        is_transformer = self.unit.role is Role.TRANSFORMER
        return is_transformer and bool(getattr(self.module, "use_linear_projection", False))

    @property
    def channels(self) -> int:
        """The number of channels of the cached value."""
        is_unet = self.unit.role is Role.OUTPUT
        holder: Any = self.module.config if is_unet else self.module
        return int(holder.out_channels)

    def unpacked(self, result: Any) -> Tensor:
        """Return the tensor in what the module returned."""
        tensor: Tensor = result if isinstance(result, torch.Tensor) else result[0]
        return tensor

    def packed(self, output: Tensor) -> Any:
        """Return a tensor as the module would have returned it."""
        return (output,) if isinstance(self.module, IN_TUPLES) else output


@dataclass(frozen=True, slots=True)
class BlockModule:
    """A block of the UNet in which every layer is a unit, and all units that live in its layers."""

    module: nn.Module
    units: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class UNetUnits:
    """The units of one UNet in execution order, with their graph; blocks that are nothing else."""

    modules: tuple[UnitModule, ...]
    graph: UnitGraph
    blocks: tuple[BlockModule, ...] = ()


def find_units(unet: nn.Module) -> UNetUnits:
    """Walk any UNet2DConditionModel; layers of kinds not known here always compute.

    Runs the UNet once on a tiny input to see the order of execution and the data flow.
    """
    candidates = _candidates(unet)
    order, feeds, sinks = _trace(unet, candidates)
    rank = {u: position for position, u in enumerate(order)}
    graph = UnitGraph(
        units=tuple(candidates[u].unit for u in order),
        feeds=tuple(tuple(sorted(rank[f] for f in feeds[u])) for u in order),
        sinks=tuple(sorted(rank[s] for s in sinks)),
    )
    modules = tuple(candidates[u] for u in order)
    return UNetUnits(modules, graph, tuple(_whole_blocks(unet, modules)))


def _whole_blocks(unet: Any, modules: tuple[UnitModule, ...]) -> Iterator[BlockModule]:
    """Give the blocks that have nothing to do when all their units are skipped."""
    known = {id(entry.module) for entry in modules if entry.unit.role not in HOLDERS}
    for _, block in _blocks(unet):
        layers = {id(layer) for group in GROUPS for layer in getattr(block, group, None) or ()}
        if layers <= known:
            units = (u for u, entry in enumerate(modules) if id(entry.module) in layers)
            yield BlockModule(block, tuple(units))


def _candidates(unet: Any) -> list[UnitModule]:
    found = [entry for prefix, block in _blocks(unet) for entry in _layers(prefix, block)]
    owners = {id(entry.module) for entry in found}
    entries = [entry for entry in _entries(unet) if id(entry.module) in owners]
    return [*found, *entries, UnitModule(Unit("out", Role.OUTPUT), unet)]


def _blocks(unet: Any) -> Iterator[tuple[str, nn.Module]]:
    yield from ((f"down.{i}", block) for i, block in enumerate(unet.down_blocks))
    if unet.mid_block is not None:
        yield "mid", unet.mid_block
    yield from ((f"up.{i}", block) for i, block in enumerate(unet.up_blocks))


GROUPS = {
    "resnets": "resnet.{}",
    "attentions": "attn.{}",
    "downsamplers": "downsampler",
    "upsamplers": "upsampler",
}


def _layers(prefix: str, block: nn.Module) -> Iterator[UnitModule]:
    for group, label in GROUPS.items():
        for j, module in enumerate(getattr(block, group, None) or ()):
            role = _role(module)
            if role is not None:
                unit = Unit(f"{prefix}.{label.format(j)}", role)
                yield UnitModule(unit, module)


def _role(module: nn.Module) -> Role | None:
    if isinstance(module, Transformer2DModel) and module.is_input_continuous:
        return Role.TRANSFORMER
    if isinstance(module, ResnetBlock2D):
        return Role.SAMPLER if module.up or module.down else Role.RESNET
    return Role.SAMPLER if isinstance(module, Downsample2D | Upsample2D) else None


def _entries(unet: Any) -> Iterator[UnitModule]:
    """Hold the main-branch feature entering each up layer, unless an upsampler already does."""
    before = _last_layer(unet.mid_block) if unet.mid_block is not None else None
    for i, block in enumerate(unet.up_blocks):
        for j in range(len(block.resnets)):
            if before is not None and _role(before) is not Role.SAMPLER:
                yield UnitModule(Unit(f"up.{i}.entry.{j}", Role.ENTRY), before)
            before = _layer(block, j)
        before = (getattr(block, "upsamplers", None) or [before])[-1]


def _layer(block: Any, j: int) -> nn.Module:
    attentions = getattr(block, "attentions", None) or ()
    layer: nn.Module = attentions[j] if j < len(attentions) else block.resnets[j]
    return layer


def _last_layer(block: Any) -> nn.Module:
    layer: nn.Module = block.resnets[-1]
    return layer


@contextmanager
def replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Let `forward` stand in for the module's own; puts back exactly what was there."""
    before = module.__dict__.get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before


def first_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what a module is called on, however it was passed."""
    return args[0] if args else next(iter(kwargs.values()))


class _Provenance(TorchFunctionMode):
    """Remembers for every tensor which units its value came from."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def of(self, values: Any) -> Sources:
        if isinstance(values, torch.Tensor):
            found: Sources = self.sources.get(values, frozenset())
            return found
        if isinstance(values, dict):
            values = values.values()
        elif not isinstance(values, list | tuple):
            return frozenset()
        return frozenset().union(*(self.of(value) for value in values))

    def mark(self, values: Any, sources: Sources) -> None:
        if isinstance(values, torch.Tensor):
            self.sources[values] = sources
        elif isinstance(values, list | tuple):
            for value in values:
                self.mark(value, sources)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        sources = self.of(args) | self.of(kwargs or {})
        result = func(*args, **(kwargs or {}))
        if sources:
            self.mark(result, sources)
        return result


def _trace(
    unet: nn.Module, candidates: list[UnitModule]
) -> tuple[list[int], dict[int, Sources], Sources]:
    provenance, order, feeds = _Provenance(), list[int](), dict[int, Sources]()

    def spy(u: int, original: Callable[..., Any]) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> Any:
            sources = provenance.of(first_of(args, kwargs))
            result = original(*args, **kwargs)
            feeds[u] = provenance.of(result) if candidates[u].unit.role in HOLDERS else sources
            order.append(u)
            provenance.mark(result, frozenset({u}))
            return result

        return forward

    with _stacked(candidates, spy), torch.no_grad(), provenance:
        sample = unet(**example_inputs(unet), return_dict=False)[0]
    return order, feeds, provenance.of(sample)


@contextmanager
def _stacked(
    candidates: list[UnitModule], wrap: Callable[[int, Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    with ExitStack() as stack:
        for u, entry in enumerate(candidates):
            stack.enter_context(replaced_forward(entry.module, wrap(u, entry.module.forward)))
        yield


def example_inputs(unet: Any) -> dict[str, Any]:
    """Return the smallest valid input of a UNet: one sample of zeros, any conditioning it wants."""
    config, weight = unet.config, next(unet.parameters())
    side = 2 ** len(config.down_block_types)  # group norms want more than one position

    def zeros(*shape: int) -> Tensor:
        empty: Tensor = weight.new_zeros(shape)
        return empty

    width = config.encoder_hid_dim or config.cross_attention_dim
    width = width if isinstance(width, int) else width[0]
    inputs: dict[str, Any] = {
        "sample": zeros(1, config.in_channels, side, side),
        "timestep": torch.tensor(1, device=weight.device),
        "encoder_hidden_states": zeros(1, 2, width),
    }
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        inputs["added_cond_kwargs"] = {"text_embeds": zeros(1, pooled), "time_ids": zeros(1, 6)}
    if config.class_embed_type is not None or config.num_class_embeds is not None:
        inputs["class_labels"] = torch.zeros(1, dtype=torch.long, device=weight.device)
    return inputs
