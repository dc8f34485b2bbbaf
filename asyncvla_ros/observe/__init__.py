"""Observations: synchronized streams, the state at an image's time, and the episode monitor."""
