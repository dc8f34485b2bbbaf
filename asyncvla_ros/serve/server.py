"""The policy server: clients over WebSockets, one inference at a time.

The policy has its own thread, because it is not thread-safe and a CUDA graph belongs to the thread that
captured it. So the event loop stays free to accept clients and refuse bad requests meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from asyncvla_ros.serve.wire import (
    MAX_MESSAGE,
    chunk_reply,
    features_reply,
    infer_request,
    pack,
    unpack,
)
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError

if TYPE_CHECKING:
    from asyncvla_ros.policy import Policy

MAX_CLIENTS = 16
#: Greatest length of an error [characters], because it quotes input, which may be long.
MAX_ERROR = 1000
#: Time for an answer to a ping [s], which a simulating client may delay.
_PING_TIMEOUT_S = 600
#: Time for a client to close [s].
_CLOSE_TIMEOUT_S = 2


class Answers:
    """Answer requests with a policy, in one thread.

    Args:
        policy: The policy.
        about: Further entries of the reply to ``features``, such as the checkpoint.
    """

    def __init__(self, policy: Policy, about: Mapping[str, Any]) -> None:
        self._policy = policy
        self._features = {
            **features_reply(policy.features),
            "chunk_size": policy.chunk_size,
            "n_action_steps": policy.n_action_steps,
            "execute_steps": policy.n_action_steps,  # formerly its name, for older clients
            "has_rater": policy.has_rater,
            "strategy": asdict(policy.resolve(Strategy())),
            **about,
        }
        self._requests = {"features": self._tell_features, "infer": self._infer}

    def answer(self, raw: bytes | str) -> bytes:
        """Return the reply to a message; errors are replies, too, so nothing is raised."""
        try:
            message = unpack(raw)
            name = message.get("request")
            if not isinstance(name, str) or name not in self._requests:
                raise AsyncVLAError(f"request is {str(name)[:40]!r}, choose one of {list(self._requests)}")
            return pack(self._requests[name](message))
        except AsyncVLAError as error:
            return pack({"error": str(error)[:MAX_ERROR]})
        except Exception as error:  # An error of one request must not end the server.
            traceback.print_exc()
            return pack({"error": f"the policy failed ({type(error).__name__}: {error})"[:MAX_ERROR]})

    def _tell_features(self, message: dict[str, Any]) -> dict[str, Any]:
        return self._features

    def _infer(self, message: dict[str, Any]) -> dict[str, Any]:
        request = infer_request(message)
        return chunk_reply(
            self._policy.infer(request.observation, request.strategy, request.previous, request.seed)
        )


async def run_server(
    policy: Policy, host: str, port: int, about: Mapping[str, Any], on_ready: Callable[[int], None]
) -> None:
    """Serve until canceled.

    Args:
        policy: Decides; this warms it up.
        host: Address to listen at.
        port: 0 for one that is free.
        about: See ``Answers``.
        on_ready: Called with the port once clients may come.

    Raises:
        OSError: If the address is not there or taken.
    """
    worker = ThreadPoolExecutor(1, thread_name_prefix="policy")
    loop = asyncio.get_running_loop()
    answers = Answers(policy, about)

    async def converse(connection: ServerConnection) -> None:
        try:
            async for raw in connection:
                await connection.send(await loop.run_in_executor(worker, answers.answer, raw))
        except ConnectionClosed:
            pass

    def admit(connection: ServerConnection, request: Request) -> Response | None:
        if len(connection.server.connections) >= MAX_CLIENTS:
            text = f"{MAX_CLIENTS} clients are connected, which is the limit\n"
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, text)
        return None

    try:
        await loop.run_in_executor(worker, policy.warmup)
        async with serve(
            converse,
            host,
            port,
            process_request=admit,
            # A browser page sends its origin; no page may use the policy.
            origins=[None],
            # No compression: images do not shrink, and a small message must not expand to a large one.
            compression=None,
            max_size=MAX_MESSAGE,
            max_queue=1,
            ping_timeout=_PING_TIMEOUT_S,
            close_timeout=_CLOSE_TIMEOUT_S,
            logger=_quiet_logger(),
        ) as server:
            on_ready(next(iter(server.sockets)).getsockname()[1])
            await server.wait_closed()
    finally:
        worker.shutdown(cancel_futures=True)


def _quiet_logger() -> logging.Logger:
    """Return a logger that hides the WebSocket library's tracebacks of lost clients."""
    logger = logging.getLogger(f"{__name__}.websockets")
    logger.setLevel(logging.CRITICAL)
    return logger
