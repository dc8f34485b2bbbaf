"""SimplerEnv's tasks: Bridge in a separate process, Fractal behind a policy server."""
