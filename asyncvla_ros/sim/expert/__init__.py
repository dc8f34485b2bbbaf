"""The scripted expert: skills on the simulator's privileged state."""
