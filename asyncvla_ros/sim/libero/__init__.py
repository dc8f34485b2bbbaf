"""LIBERO as a robot: tasks, scenes, rendering, and a world with a clock."""
