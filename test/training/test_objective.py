"""What kept actions show while a policy is trained, and the objective as one graph."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.config import VISIONS
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.training.batches import Augmentation, Batch, Draws, Earlier
from asyncvla_ros.training.objective import PolicyLoss, compile_layers, count_velocities, pieces

B, K, LENGTH, DIMS, SIZE = 4, 2, 6, 3, 28


def _inputs(count: int) -> Inputs:
    return Inputs(
        torch.randint(0, 256, (count, 1, SIZE, SIZE, 3), dtype=torch.uint8),
        torch.ones(count, 3, dtype=torch.long),
        torch.ones(count, 3, dtype=torch.bool),
        torch.randn(count, 4),
    )


@pytest.fixture(params=VISIONS)
def objective(request: pytest.FixtureRequest) -> PolicyLoss:
    torch.manual_seed(0)
    config = nano_config(
        16,
        num_cameras=1,
        image_size=SIZE,
        chunk_size=LENGTH,
        max_state_dim=4,
        max_action_dim=DIMS,
        rater=None,
        vision=request.param,
    )
    return PolicyLoss(AsyncVLA(config), 2, 0.1)


@pytest.fixture
def batch() -> Batch:
    """Actions are 1, executed ones 2; the second observation keeps parts of a plan of two steps before."""
    torch.manual_seed(1)
    mask = torch.ones(B, K, LENGTH)
    mask[:, 0, :3] = 0
    mask[1, 1, [0, 1, 3]] = 0
    return Batch(
        inputs=_inputs(B),
        actions=torch.ones(B, LENGTH, DIMS),
        dim_mask=torch.ones(B, DIMS),
        privileged=torch.randn(B, 2),
        episodes=torch.zeros(B, dtype=torch.long),
        executed=torch.full((B, LENGTH, DIMS), 2.0),
        known=torch.ones(B, LENGTH),
        augmentation=Augmentation.draw(B, 1, 2, 0.1, torch.Generator().manual_seed(0)),
        draws=Draws(
            torch.randn(B, K, LENGTH, DIMS),
            torch.rand(B, K),
            mask,
            torch.tensor([[3, 0], [3, 2], [3, 0], [0, 0]]),
        ),
        earlier=Earlier(_inputs(1), torch.tensor([1]), torch.tensor([2]), torch.randn(1, LENGTH, DIMS)),
    )


def test_kept_actions_show_what_was_executed_then_an_older_plan_else_what_was_demonstrated(
    objective: PolicyLoss, batch: Batch
) -> None:
    assert batch.earlier is not None
    plan = objective.model.draft(batch.earlier.inputs, batch.earlier.noise)[0]
    context = objective._context(batch)
    assert (context[0, 0, :3] == 2).all() and (context[0, 0, 3:] == 1).all() and (context[0, 1] == 1).all()
    assert (context[3] == 1).all()
    assert (context[1, 1, :2] == 2).all()
    # Place 3 of the chunk is place 5 of a plan made two steps before.
    torch.testing.assert_close(context[1, 1, 3], plan[5])


def test_kept_actions_matter_and_targets_do_not_change(objective: PolicyLoss, batch: Batch) -> None:
    counted = count_velocities(batch)
    plain = objective(batch, counted, 1.0)[0]
    other = objective(replace(batch, executed=batch.executed + 1), counted, 1.0)[0]
    assert not torch.equal(plain, other)
    assert batch.draws is not None
    # Where nothing is kept, what was executed cannot matter.
    all_new = replace(batch.draws, mask=torch.ones(B, K, LENGTH))
    free = [
        objective(replace(batch, draws=all_new, executed=executed), counted, 1.0)[0]
        for executed in (batch.executed, batch.executed + 1)
    ]
    torch.testing.assert_close(*free)


def test_of_a_view_only_the_first_action_counts(objective: PolicyLoss, batch: Batch) -> None:
    assert batch.draws is not None
    known = batch.known.clone()
    known[2, 1:] = 0
    mask = batch.draws.mask.clone()
    mask[2] = 1
    view = replace(batch, known=known, draws=replace(batch.draws, mask=mask))
    counted = count_velocities(view)
    assert counted == count_velocities(replace(view, known=batch.known)) - K * (LENGTH - 1) * DIMS
    plain, _ = objective(view, counted, 1.0)
    for step, is_told in ((0, True), (1, False), (LENGTH - 1, False)):
        actions = view.actions.clone()
        actions[2, step] += 1
        # The noised action is what the network sees: it must not change with the target.
        noisy = view.draws.noise.clone()
        tau = view.draws.tau[2, :, None]
        noisy[2, :, step] -= (1 - tau) / tau
        changed = replace(view, actions=actions, draws=replace(view.draws, noise=noisy))
        assert torch.allclose(objective(changed, counted, 1.0)[0], plain, rtol=1e-5) is not is_told


def test_pieces_add_up_to_the_whole(objective: PolicyLoss, batch: Batch) -> None:
    counted = count_velocities(batch)
    whole = objective(batch, counted, 1.0)[0]
    parts = [objective(piece, counted, 0.5)[0] for piece in pieces(batch, 2)]
    torch.testing.assert_close(sum(parts), whole)


def test_all_layers_are_one_graph_that_changes_nothing(objective: PolicyLoss, batch: Batch) -> None:
    """As with --compile, but for the compiler behind the graph, which takes half a minute."""
    torch.compiler.reset()
    counted = count_velocities(batch)
    expected = objective(batch, counted, 1.0)[0]
    expected.backward()
    gradients = {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}
    objective.zero_grad()
    counter = CompileCounterWithBackend("aot_eager")
    compile_layers(objective.model, counter)
    objective(replace(batch, earlier=None), counted, 1.0)
    assert counter.frame_count == 1
    loss = objective(batch, counted, 1.0)[0]
    loss.backward()
    torch.testing.assert_close(loss, expected)
    for name, parameter in objective.named_parameters():
        if name in gradients:
            torch.testing.assert_close(parameter.grad, gradients[name], msg=name)
