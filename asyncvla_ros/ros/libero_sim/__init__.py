"""LIBERO as a robot on topics."""
