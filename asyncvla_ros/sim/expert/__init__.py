"""The scripted demonstrator: skills on the simulator's privileged state."""
