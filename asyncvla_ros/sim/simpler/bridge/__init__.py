"""Bridge (WidowX) on mani-skill: tasks, conventions, the simulator's process, rollouts, an expert."""
