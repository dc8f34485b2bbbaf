"""Seeds that are derived from numbers."""

from __future__ import annotations

import numpy as np


def noise_seed(*parts: int) -> int:
    """Derive a seed from what identifies an inference, whichever process or order it runs in."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
