"""How strongly a policy repeats what it is told: the answer of an action to the one kept before it.

Actions that are on their way when an observation is taken are context of those that follow. Fed back from
chunk to chunk, an answer of more than one to one runs away: each chunk follows the one before it rather than
the world. A policy that takes kept actions for signs of what the demonstrator wanted has such an answer; one
that has learned what was executed, right or wrong, corrects it (arXiv 2110.10819).

    gain[i, j] = d a_k[j] / d a_(k-1)[i]        a_0 ... a_(k-1) kept as they were executed, a_k ... generated
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from asyncvla_ros.data.episodes import Episodes
from asyncvla_ros.data.mixture import Mixture, Robot
from asyncvla_ros.model.checkpoint import Checkpoint
from asyncvla_ros.model.drafts import GRIPPER
from asyncvla_ros.model.prefix import Prefix
from asyncvla_ros.training.batches import Batches, random_numbers

#: So many actions are kept; a chunk must be longer.
KEPT = (1, 2, 4)
_PIECE = 64


@torch.no_grad()
def loop_gain(
    checkpoint: Checkpoint, episodes: Episodes, frames: np.ndarray, steps: int, seed: int
) -> dict[str, Any]:
    """Compute the mean gain over some observations, by how many actions are kept.

    Args:
        checkpoint: The policy.
        episodes: Demonstrations that it has not seen.
        frames: (n,) of them.
        steps: Euler steps of a draft.
        seed: Of the noise, which is the same with and without the change.

    Returns:
        By number of kept actions: ``same`` (mean over the moving dofs of the gain on themselves) and
        ``largest`` (spectral norm of the mean gain of all dofs on all); and ``largest_same`` of these.
    """
    robot = Robot("policy", checkpoint.features, checkpoint.state_stats, checkpoint.action_stats)
    batches = Batches(Mixture.of_one_robot(episodes, robot), checkpoint.model.config, checkpoint.tokenizer)
    names = checkpoint.features.action_names
    moving = [dim for dim, name in enumerate(names) if name != GRIPPER]
    length = checkpoint.model.config.chunk_size
    sums = {kept: np.zeros((len(moving), len(moving))) for kept in KEPT if kept < length}
    for number, part in enumerate(np.array_split(frames, max(1, len(frames) // _PIECE))):
        generator = random_numbers(seed, number)
        batch = batches.at(part, generator).to(checkpoint.model.device)
        prefix = checkpoint.model.encode(batch.inputs)
        noise = torch.randn(batch.executed.shape, generator=generator).to(batch.executed.device)
        for kept, gains in sums.items():
            gains += _answers(
                checkpoint, prefix, batch.executed, noise, kept=kept, steps=steps, moving=moving
            ).sum(0)
    by_kept = {
        str(kept): {
            "same": float(np.diag(gains / len(frames)).mean()),
            "largest": float(np.linalg.norm(gains / len(frames), 2)),
        }
        for kept, gains in sums.items()
    }
    largest = max((abs(row["same"]) for row in by_kept.values()), default=0.0)
    return {"by_kept": by_kept, "largest_same": largest, "n": len(frames)}


def _answers(
    checkpoint: Checkpoint,
    prefix: Prefix,
    executed: Tensor,
    noise: Tensor,
    kept: int,
    steps: int,
    moving: list[int],
) -> np.ndarray:
    """Return changes of the next action's moving dofs by unit changes of the last kept one's, (b, m, m)."""
    model, (b, length, d) = checkpoint.model, executed.shape
    mask = (torch.arange(length, device=executed.device) >= kept).float().expand(b, length)
    dims = torch.zeros(d, device=executed.device)
    dims[: len(checkpoint.features.action_names)] = 1

    def next_action(context: Tensor) -> Tensor:
        return model.sample(prefix, context, mask, noise, dim_mask=dims, steps=steps)[:, kept, moving]

    rows = []
    for dim in moving:
        change = torch.zeros_like(executed)
        change[:, kept - 1, dim] = 0.5
        rows.append(next_action(executed + change) - next_action(executed - change))
    return torch.stack(rows, dim=1).float().cpu().numpy()
