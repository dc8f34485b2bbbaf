"""The simulator's process, started by ``BridgeSim`` with a file descriptor and the name of a task."""

from __future__ import annotations

import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

from asyncvla_ros.sim.simpler.bridge.tasks import get_task
from asyncvla_ros.sim.simpler.bridge.world import BridgeState, BridgeWorld


def serve(connection: Connection, name: str) -> None:
    """Answer requests until the other side closes.

    The first answer is None, when the world is ready. A request is ``(verb, *arguments)``; an answer is
    ``(True, frame)``, or ``(False, error)``.
    """
    world: BridgeWorld | None = None
    request: tuple[Any, ...] = ("make",)
    while True:
        try:
            if world is None:
                world = BridgeWorld(get_task(name))
                answer: tuple[bool, BridgeState | str | None] = (True, None)
            else:
                answer = (True, _answer(world, request))
        except Exception as error:  # the border: errors of the simulator go to the user's process
            traceback.print_exc()
            answer = (False, f"{type(error).__name__}: {error}")
        connection.send(answer)
        if world is None:
            return
        try:
            request = connection.recv()
        except EOFError:
            world.close()
            return


def _answer(world: BridgeWorld, request: tuple[Any, ...]) -> BridgeState:
    verb, *arguments = request
    if verb == "reset":
        return world.reset(*arguments)
    if verb == "step":
        return world.step(*arguments)
    raise ValueError(f"unknown request {verb!r}, expected reset or step")


if __name__ == "__main__":
    with Connection(int(sys.argv[1])) as wire:
        serve(wire, sys.argv[2])
