"""Client of the policy server, in one file that needs numpy, msgpack and websockets 15 or newer."""

import contextlib
import math

import msgpack
import numpy as np
from websockets.sync.client import connect

DTYPES = {"uint8": "|u1", "float32": "<f4", "float64": "<f8", "int64": "<i8", "bool": "|b1"}


class RequestError(RuntimeError):
    """The server refused a request; the message is its reason."""


class PolicyClient:
    """A connection to ``asyncvla serve``, to be used in ``with``; docs/serve.md names the fields."""

    def __init__(self, url="ws://127.0.0.1:8765"):
        self._connection = contextlib.ExitStack()
        opened = connect(url, compression=None, max_size=None, proxy=None)
        self._socket = self._connection.enter_context(opened)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._connection.close()

    def features(self):
        """Return the policy's feature contract and its checkpoint."""
        return self.ask({"request": "features"})

    def infer(self, images, state, instruction, **options):
        """Run inference: images (h, w, 3) uint8 by camera key, state (s,) -> actions (l, d) and more."""
        return self.ask(
            {"request": "infer", "images": images, "state": state, "instruction": instruction, **options}
        )

    def ask(self, request):
        """Send a request and wait for its reply; RequestError if the server refuses."""
        self._socket.send(msgpack.packb(request, default=from_array))
        reply = msgpack.unpackb(self._socket.recv(), object_hook=to_array)
        if "error" in reply:
            raise RequestError(reply["error"])
        return reply


def from_array(value):
    """Convert an array to {dtype, shape, data}, a numpy number to a number; TypeError for all else."""
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray) or value.dtype.name not in DTYPES:
        raise TypeError(f"{getattr(value, 'dtype', type(value))} cannot be sent; choose from {list(DTYPES)}")
    data = value.astype(DTYPES[value.dtype.name]).tobytes()
    return {"dtype": value.dtype.name, "shape": list(value.shape), "data": data}


def to_array(value):
    """Convert {dtype, shape, data} to an array, keep other maps; ValueError if the parts do not fit."""
    if value.keys() != {"dtype", "shape", "data"}:
        return value
    if value["dtype"] not in DTYPES:
        raise ValueError(f"dtype is {value['dtype']!r}, expected one of {list(DTYPES)}")
    # A number times a list would be a list of that length, so that a sender could exhaust the memory.
    if not isinstance(value["shape"], list) or not all(isinstance(size, int) for size in value["shape"]):
        raise ValueError(f"shape is {str(value['shape'])[:80]}, expected a list of integers")
    kind = np.dtype(DTYPES[value["dtype"]])
    if math.prod(value["shape"]) * kind.itemsize != len(value["data"]):
        raise ValueError(f"{len(value['data'])} bytes are no {value['dtype']} of shape {value['shape']}")
    return np.frombuffer(value["data"], kind).reshape(value["shape"])


if __name__ == "__main__":
    with PolicyClient() as policy:
        print(policy.features())
