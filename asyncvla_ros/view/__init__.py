"""What people see of chunks: colours, marker geometry, overlay and pictures. No ROS."""
