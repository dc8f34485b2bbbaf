"""The ``asyncvla`` command, one file a group of commands."""
