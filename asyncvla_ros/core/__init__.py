"""Numpy-only building blocks: schedule, synchronisation, limits, contracts."""
