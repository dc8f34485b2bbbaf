"""The node that looks and decides: observations in, chunks out."""
