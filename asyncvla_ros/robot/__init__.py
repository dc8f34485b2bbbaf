"""Description of a robot: contract, outputs, limits, kinematics."""
