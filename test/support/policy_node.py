"""Parameters of a policy node in tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def policy_params(checkpoint: Path, **changes: Any) -> dict[str, Any]:
    """Return parameters of a node that starts by itself, on a patient machine."""
    return {
        "checkpoint": checkpoint,
        "threads": 1,
        "autostart": True,
        "sensor_reliability": "reliable",
        "max_observation_age_s": 5.0,
        "max_skew_s": 0.005,
        **changes,
    }
