"""The AsyncVLA network in PyTorch: flow matching, prefix cache, rater, checkpoint."""
