"""Display of chunks: colors, marker geometry, overlay and pictures. No ROS."""
