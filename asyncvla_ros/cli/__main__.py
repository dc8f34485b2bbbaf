"""``python -m asyncvla_ros.cli``: the ``asyncvla`` command where it is not installed."""

from asyncvla_ros.cli.start import main

if __name__ == "__main__":
    main()
