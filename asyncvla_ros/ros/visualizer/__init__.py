"""What rviz shows: chunk, confidence, overlay."""
