"""What the robot is: contract, outputs, limits, kinematics."""
