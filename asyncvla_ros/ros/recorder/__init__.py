"""The node that records episodes."""
