from __future__ import annotations

import pytest
import torch
from torch import nn

from workers.demo.muon import Muon, matrices_of, orthogonal


def matrices(rows: int, columns: int, count: int = 3) -> torch.Tensor:
    return torch.randn(count, rows, columns, generator=torch.Generator().manual_seed(0))


def moved(weight: torch.Tensor, gradient: torch.Tensor, *, decay: float = 0.0) -> torch.Tensor:
    """Return how far one step of rate 0.5 moves a weight."""
    parameter = nn.Parameter(weight.clone())
    parameter.grad = gradient
    Muon([parameter], torch.tensor(0.5), decay).step()
    return parameter.detach() - weight


@pytest.mark.parametrize(("rows", "columns"), [(20, 20), (16, 48), (48, 16)])
def test_all_singular_values_come_near_one(rows: int, columns: int) -> None:
    values = torch.linalg.svdvals(orthogonal(matrices(rows, columns)))

    assert float(values.max()) < 1.3
    assert float(values.median()) > 0.6


def test_directions_are_kept() -> None:
    given = matrices(16, 24)

    found = orthogonal(given)

    left, _, right = torch.linalg.svd(given, full_matrices=False)
    mixed = left.mT @ found @ right.mT
    assert torch.allclose(mixed, torch.diag_embed(mixed.diagonal(dim1=1, dim2=2)), atol=1e-4)


def test_matrices_worked_on_together_are_as_alone() -> None:
    given = matrices(16, 24)

    together, alone = orthogonal(given), torch.cat([orthogonal(one[None]) for one in given])

    assert torch.allclose(together, alone, atol=1e-5)


def test_a_step_goes_against_the_gradient_by_the_rate_whatever_its_size() -> None:
    gradient = matrices(16, 16, 1)[0]

    small, large = (moved(torch.zeros(16, 16), scale * gradient) for scale in (1e-3, 1e3))

    assert torch.allclose(small, large, atol=1e-3)
    assert float((small * gradient).sum()) < 0
    assert float(torch.linalg.svdvals(small).median()) == pytest.approx(0.5, rel=0.3)


def test_a_convolution_moves_as_the_matrix_of_its_outputs() -> None:
    gradient = matrices(16, 2 * 3 * 3, 1)[0]

    flat = moved(torch.zeros(16, 18), gradient)
    folded = moved(torch.zeros(16, 2, 3, 3), gradient.view(16, 2, 3, 3))

    assert torch.equal(folded.flatten(1), flat)


def test_weights_decay_by_rate_times_decay() -> None:
    still = moved(torch.ones(16, 16), torch.zeros(16, 16), decay=0.1)

    assert torch.allclose(still, torch.full((16, 16), -0.05))


def test_momentum_goes_on_where_gradients_end() -> None:
    parameter = nn.Parameter(torch.zeros(16, 16))
    optimizer = Muon([parameter], torch.tensor(0.5), 0.0)
    parameter.grad = matrices(16, 16, 1)[0]
    optimizer.step()
    before = parameter.detach().clone()

    parameter.grad = torch.zeros(16, 16)
    optimizer.step()

    assert float((parameter.detach() - before).norm()) > 1.0


def test_vectors_embeddings_and_narrow_matrices_are_left_to_others() -> None:
    networks = nn.ModuleDict(
        {"wide": nn.Linear(16, 32), "narrow": nn.Linear(16, 3), "words": nn.Embedding(64, 64)}
    )

    chosen, others = matrices_of(networks)

    assert [tuple(p.shape) for p in chosen] == [(32, 16)]
    assert sorted(p.numel() for p in others) == [3, 32, 48, 64 * 64]
