"""Bridge (WidowX) on mani-skill: tasks, conventions, the simulator's process, evaluation, a scripted expert."""
