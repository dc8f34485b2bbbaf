"""A ROS_DOMAIN_ID nobody else on this machine uses: neither demo nor tests ever talk to a real robot."""

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
    """Reserves a domain id until the block ends."""
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
    """A file that all users of the machine can lock, whoever made it.

    Raises:
        RunError: there can be none.
    """
    path = Path(tempfile.gettempdir()) / f"asyncvla-ros-domain-{domain}.lock"
    try:
        try:
            # Who may only read a file may lock it all the same.
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
    """The environment of processes that meet each other in a domain of their own, and nobody else."""
    with free_domain() as domain:
        yield {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def _has_participant(domain: int) -> bool:
    """Whether some process holds the first unicast discovery port of the domain."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("0.0.0.0", 7400 + 250 * domain + 10))
        except OSError:
            return True
    return False
