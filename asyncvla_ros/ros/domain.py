"""Reserves a ROS_DOMAIN_ID of this machine, so that demo and tests never reach a real robot."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asyncvla_ros.types import RunError

# Above 101 the ports of a domain reach into Linux's ephemeral range; 0 is everybody's default.
DOMAINS = range(1, 102)


@contextmanager
def free_domain() -> Iterator[int]:
    """Reserve a domain id until the block ends.

    Raises:
        RunError: all of them are in use.
    """
    first = os.getpid() % len(DOMAINS)
    for domain in [*DOMAINS[first:], *DOMAINS[:first]]:
        with _lock_file(domain) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if not _has_participant(domain):
                yield domain
                return
    raise RunError(f"all ROS domains {DOMAINS.start}..{DOMAINS.stop - 1} are in use on this machine")


@contextmanager
def _lock_file(domain: int) -> Iterator[int]:
    """Open the lock file of a domain, which every user of the machine can lock.

    Raises:
        RunError: the file cannot be opened.
    """
    path = Path(tempfile.gettempdir()) / f"asyncvla-ros-domain-{domain}.lock"
    try:
        try:
            # Another user made the file: reading it is enough to lock it.
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    except OSError as error:
        raise RunError(f"{path} cannot be opened to reserve a ROS domain: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def isolated_domain() -> Iterator[dict[str, str]]:
    """Yield the environment of processes that find each other and nobody else, in a reserved domain."""
    with free_domain() as domain:
        yield {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def _has_participant(domain: int) -> bool:
    """Return whether some process holds the first unicast discovery port of the domain."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("0.0.0.0", 7400 + 250 * domain + 10))
        except OSError:
            return True
    return False
