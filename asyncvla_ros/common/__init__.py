"""Small tools that are independent of robots."""
