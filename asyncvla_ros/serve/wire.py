"""Messages of the policy server in msgpack, with checks of everything that arrives."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import msgpack
import numpy as np

from asyncvla_ros.robot.feature_file import features_values
from asyncvla_ros.serve.client import from_array, to_array
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import (
    ActionChunk,
    AsyncVLAError,
    ContractError,
    FeatureContract,
    Observation,
    Previous,
)

#: Greatest size of a message [bytes]: five images of 1080p. The server refuses longer ones before reading.
MAX_MESSAGE = 32 * 2**20
#: Greatest height and width of an image [px].
MAX_SIDE = 4096
#: Greatest number of maps and lists in a message, and of entries of each.
MAX_CONTAINERS = 256
MAX_ENTRIES = 64
MAX_TEXT = 2000
#: Greatest cost of a request: without a limit, one number could block all clients for ever.
MAX_WORK = {"rounds": 16, "denoise_steps": 200, "refine_steps": 200, "best_of": 64}

#: Greatest delay [control steps], above the length of any chunk.
MAX_DELAY = 2**16

_INFER = ("request", "images", "state", "instruction", "previous", "committed", "seed", "strategy")
_PREVIOUS = ("actions", "delay", "drafts")
_STRATEGY = tuple(field.name for field in fields(Strategy))
_NUMBERS = ("threshold", "guidance")


@dataclass(frozen=True)
class InferRequest:
    """A request of inference, with the fields of ``Policy.infer``."""

    observation: Observation
    strategy: Strategy
    previous: Previous | None
    seed: int | None


def pack(message: Mapping[str, Any]) -> bytes:
    """Pack a message as msgpack, arrays as {dtype, shape, data}."""
    return msgpack.packb(message, default=from_array)


def unpack(raw: bytes | str) -> dict[str, Any]:
    """Unpack the map in a message.

    Raises:
        ContractError: If the message is no map, or too large.
    """
    if not isinstance(raw, bytes):
        raise ContractError("the message is text, expected binary msgpack")
    counted = itertools.count(1)

    def limited(container: Any) -> Any:
        # One byte can declare a container, which needs a hundred bytes of memory.
        if next(counted) > MAX_CONTAINERS:
            raise ValueError(f"more than {MAX_CONTAINERS} maps and lists")
        return to_array(container) if isinstance(container, dict) else container

    try:
        message = msgpack.unpackb(
            raw,
            object_hook=limited,
            list_hook=limited,
            max_array_len=MAX_ENTRIES,
            max_map_len=MAX_ENTRIES,
            max_str_len=4 * MAX_TEXT,
        )
    except (ValueError, TypeError) as error:
        reason = str(error) or type(error).__name__
        raise ContractError(f"the message is not valid ({reason}); expected a map in msgpack") from error
    if not isinstance(message, dict):
        raise ContractError(f"the message is a {type(message).__name__}, expected a map")
    return message


def infer_request(message: Mapping[str, Any]) -> InferRequest:
    """Parse an ``infer`` message.

    Raises:
        AsyncVLAError: If a field is missing, unknown, too large or has another type.
    """
    _require_known(message, _INFER, "fields of infer")
    images = _typed(message, "images", dict)
    instruction = _typed(message, "instruction", str)
    if len(instruction) > MAX_TEXT:
        raise ContractError(f"instruction has {len(instruction)} characters, expected at most {MAX_TEXT}")
    observation = Observation(
        {str(key): _image(f"image {key!r}", image) for key, image in images.items()},
        _numbers("state", message.get("state"), 1),
        instruction,
    )
    seed, strategy = message.get("seed"), _strategy(message.get("strategy"))
    previous = _previous(message.get("previous"))
    if (committed := message.get("committed")) is not None:
        if previous is not None:
            raise ContractError("committed and previous exclude each other; previous says more")
        given = _finite("committed", _numbers("committed", committed, 2))
        previous, strategy = Previous(given, len(given)), replace(strategy, handover="commit")
    number = None if seed is None else _integer("seed", seed, 0, 2**63 - 1)
    return InferRequest(observation, strategy, previous, number)


def chunk_reply(chunk: ActionChunk) -> dict[str, Any]:
    """Build the reply to ``infer``: the chunk's fields, with times in [ms]."""
    signals = ("confidence", "variance", "surprise", "disagreement")
    names = ("actions", "refined", "kept", "draft", *signals)
    return {
        **{name: getattr(chunk, name) for name in names},
        "committed": chunk.n_frozen,
        "times_ms": chunk.times.by_key(),
    }


def features_reply(features: FeatureContract) -> dict[str, Any]:
    """Build the reply to ``features`` from a feature contract."""
    values = features_values(features)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _previous(given: Any) -> Previous | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise ContractError(f"previous is {_kind(given)}, expected a map")
    _require_known(given, _PREVIOUS, "fields of previous")
    drafts = given.get("drafts")
    if not isinstance(drafts, list | None):
        raise ContractError(f"drafts of previous is {_kind(drafts)}, expected a list of arrays")
    actions, *others = (
        _finite(name, _numbers(name, value, 2))
        for name, value in [
            ("actions of previous", given.get("actions")),
            *(("a draft of previous", draft) for draft in drafts or []),
        ]
    )
    return Previous(actions, _integer("delay of previous", given.get("delay"), 0, MAX_DELAY), tuple(others))


def _strategy(given: Any) -> Strategy:
    if given is None:
        return Strategy()
    if not isinstance(given, dict):
        raise ContractError(f"strategy is {_kind(given)}, expected a map")
    _require_known(given, _STRATEGY, "fields of strategy")
    values = {key: value for key, value in given.items() if value is not None}
    for name, value in values.items():
        if name in MAX_WORK:
            _integer(name, value, 1, MAX_WORK[name])
        elif name not in _NUMBERS:
            _typed(values, name, str)
        elif not isinstance(value, int | float) or isinstance(value, bool):
            raise ContractError(f"{name} is {_kind(value)}, expected a number")
        else:
            values[name] = float(value)
    return Strategy(**values)


def _image(name: str, value: Any) -> np.ndarray:
    if not isinstance(value, np.ndarray):
        raise ContractError(f"{name} is {_kind(value)}, expected an array (height, width, 3) of uint8")
    # The policy checks channels and type.
    if value.ndim == 3 and not (min(value.shape) > 0 and max(value.shape) <= MAX_SIDE):
        raise ContractError(f"{name} has shape {value.shape}, expected sides of 1 to {MAX_SIDE} pixels")
    return value


def _numbers(name: str, value: Any, dims: int) -> np.ndarray:
    """Return an array as float32 if it holds numbers and has the expected number of dimensions."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fi" or value.ndim != dims:
        raise ContractError(f"{name} is {_kind(value)}, expected an array of {dims} dimensions with numbers")
    with np.errstate(over="ignore"):
        return value.astype(np.float32)


def _finite(name: str, value: np.ndarray) -> np.ndarray:
    if not np.isfinite(value).all():
        raise ContractError(f"{name} has numbers that are not finite")
    return value


def _integer(name: str, value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        found = value if isinstance(value, int) else _kind(value)
        raise ContractError(f"{name} is {found}, expected an integer from {low} to {high}")
    return value


def _typed(message: Mapping[str, Any], name: str, kind: type) -> Any:
    value = message.get(name)
    if not isinstance(value, kind):
        raise ContractError(f"{name} is {_kind(value)}, expected {'text' if kind is str else 'a map'}")
    return value


def _require_known(message: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    unknown = sorted(repr(key)[:40] for key in message if key not in known)
    if unknown:
        raise AsyncVLAError(f"{', '.join(unknown)}: expected {what}: {', '.join(known)}")


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array {value.shape} of {value.dtype}"
    return "missing" if value is None else f"a {type(value).__name__}"
