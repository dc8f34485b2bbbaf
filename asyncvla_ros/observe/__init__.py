"""What is seen together: streams in step, and the state when an image was made."""
