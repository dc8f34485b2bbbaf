"""AsyncVLA policies on ROS 2 robots: asynchronous flow matching, from camera to safe motion."""
