"""Small tools that know no robot."""
