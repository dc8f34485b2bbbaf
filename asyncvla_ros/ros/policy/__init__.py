"""The policy node: observations in, action chunks out."""
