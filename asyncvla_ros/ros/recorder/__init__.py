"""The recorder node: robot streams, chunks and commands in, episode folders out."""
