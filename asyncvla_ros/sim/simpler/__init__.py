"""SimplerEnv's tasks: Bridge in a process of its own, Fractal behind a policy server."""
