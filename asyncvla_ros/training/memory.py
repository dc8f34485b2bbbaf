"""Measure the memory of a process."""

from __future__ import annotations

import resource

import torch


def peak_memory_gb() -> float:
    """Return the most memory that this process has used: of the GPU, or without one of the machine."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
