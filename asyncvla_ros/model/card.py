"""The model card of a checkpoint: network, feature contract, training data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from asyncvla_ros.model.checkpoint import Checkpoint

# A card with this line is rewritten with the checkpoint; one without it was edited by a person.
GENERATED = "<!-- Written with the checkpoint. Remove this line before you edit. -->"


def model_card(checkpoint: Checkpoint, weights: Mapping[str, Tensor]) -> str:
    """Write a model card in Markdown, with metadata for the Hugging Face hub.

    Args:
        checkpoint: The described checkpoint.
        weights: Weights of its network.
    """
    config, features = checkpoint.model.config, checkpoint.features
    count = sum(weight.numel() for name, weight in weights.items() if not name.startswith("rater."))
    rater = sum(weight.numel() for name, weight in weights.items() if name.startswith("rater."))
    cameras = ", ".join(f"`{c.key}` {c.width}x{c.height}" for c in features.cameras)
    rated = f"{rater:,} parameters, label {config.rater.label}" if config.rater else "none"
    return f"""---
library_name: asyncvla_ros
pipeline_tag: robotics
tags: [robotics, vision-language-action, flow-matching, asyncvla]
---
{GENERATED}
# AsyncVLA policy

A vision-language-action policy (arXiv 2511.14148): it generates chunks of actions by flow matching, all at
once or only where it doubts.

| | |
|---|---|
| policy | {count:,} parameters, backbone in {config.dtype} |
| rater | {rated} |
| monitor | {_monitor(checkpoint)} |
| cameras | {cameras} |
| state | {", ".join(features.state_names)} |
| action | {features.action_space}: {", ".join(features.action_names)} |
| chunk | {config.chunk_size} actions at {features.action_hz:g} Hz, {config.n_action_steps} executed |
| Euler steps | {config.num_denoise_steps} of a draft, {config.num_refine_steps} of a refinement |
| policy's data | {checkpoint.trained_on or "not known"} |
| rater's data | {checkpoint.rated_on or ("not known" if config.rater else "none")} |

```bash
asyncvla bench policy --checkpoint FOLDER
ros2 launch asyncvla_ros arm.launch.py checkpoint:=FOLDER robot:=ROBOT
```

**Not measured yet.** Write here how often it solves what, on how many episodes, and what it must not be used
for.
"""


def _monitor(checkpoint: Checkpoint) -> str:
    """Describe the monitors of observations and episodes."""
    limits = checkpoint.limits
    watched = ["foreign observations"] if checkpoint.monitor is not None else []
    if limits is not None:
        names = ", ".join(sorted(limits.signals))
        watched.append(f"episodes by {names}; limit from {limits.episodes} episodes ({limits.source})")
    return "; ".join(watched) or "none"
