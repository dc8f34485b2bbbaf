"""Helpers shared by the tests; importable as ``support`` (see pytest's pythonpath in pyproject.toml)."""
