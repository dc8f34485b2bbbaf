"""LIBERO as a robot: tasks, scenes, rendering, the world that moves on."""
