"""Whatever bytes arrive: a request, or one clear error."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncvla_ros.serve.client import DTYPES, from_array, to_array
from asyncvla_ros.serve.wire import MAX_CONTAINERS, infer_request, pack, unpack
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError

IMAGE = np.zeros((4, 5, 3), np.uint8)


def request(**changes: Any) -> dict[str, Any]:
    message = {"request": "infer", "images": {"front": IMAGE}, "state": np.zeros(8), "instruction": "lift it"}
    return unpack(pack({**message, **changes}))


@pytest.mark.parametrize("name", DTYPES)
def test_arrays_survive_with_their_type_and_shape(name: str):
    for shape in ((), (0, 7), (2, 3, 4)):
        array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(name)
        received = unpack(pack({"a": array}))["a"]
        assert received.dtype == array.dtype and received.shape == shape
        np.testing.assert_array_equal(received, array)
    swapped = np.arange(3, dtype=">f4")
    np.testing.assert_array_equal(unpack(pack({"a": swapped}))["a"], swapped)
    # What numpy calls a number is one.
    assert unpack(pack({"seed": np.int64(7)})) == {"seed": 7}


@pytest.mark.parametrize("value", [np.zeros(2, np.complex64), np.array([object()]), object(), {1, 2}])
def test_the_client_refuses_what_cannot_be_sent(value: Any):
    with pytest.raises(TypeError, match="cannot be sent; choose from"):
        msgpack.packb(value, default=from_array)


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "object"},
        {"dtype": ["float32"]},
        {"dtype": {}},
        {"shape": [3]},
        {"shape": [-1, -2]},
        {"shape": [2**63, 0], "data": b""},
        {"shape": [2**63, []]},
        {"shape": [2.0]},
        {"shape": "x"},
        {"shape": None},
        {"shape": [1] * 63 + [2]},
        {"data": "12345678"},
        {"data": None},
        {"data": [0] * 8},
        {"data": b"1234567"},
    ],
)
def test_an_array_whose_parts_do_not_fit_is_refused(changes: dict[str, Any]):
    parts = {"dtype": "float32", "shape": [2], "data": b"12345678", **changes}
    raw = msgpack.packb({"request": "infer", "images": {}, "state": parts, "instruction": "lift it"})
    with pytest.raises(AsyncVLAError):
        infer_request(unpack(raw))


def test_a_request_becomes_what_the_policy_takes():
    plain = request()
    asked = infer_request(plain)
    assert asked.strategy == Strategy() and asked.previous is None and asked.seed is None
    assert asked.observation.state.dtype == np.float32 and asked.observation.instruction == "lift it"
    np.testing.assert_array_equal(asked.observation.images["front"], IMAGE)
    asked = infer_request(
        request(
            strategy={"mode": "afm", "rounds": 2, "threshold": 1, "best_of": None},
            committed=np.ones((2, 7), np.float32),
            seed=3,
        )
    )
    assert asked.strategy == Strategy("afm", rounds=2, threshold=1.0, handover="commit") and asked.seed == 3
    assert asked.previous is not None and asked.previous.delay == 2
    np.testing.assert_array_equal(asked.previous.actions, np.ones((2, 7)))
    plan = {"actions": np.ones((5, 7)), "delay": 2, "drafts": [np.zeros((3, 7))]}
    asked = infer_request(request(previous=plan, strategy={"handover": "ensemble", "guidance": 3}))
    assert asked.strategy == Strategy(handover="ensemble", guidance=3.0)
    assert asked.previous is not None and (asked.previous.delay, len(asked.previous.drafts)) == (2, 1)
    np.testing.assert_array_equal(asked.previous.actions, plan["actions"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "images is missing, expected a map"),
        ({"images": {"front": 3}}, "image 'front' is a int, expected an array"),
        (
            {"images": {"front": np.zeros((1, 5000, 3), np.uint8)}},
            r"\(1, 5000, 3\), expected sides of 1",
        ),
        ({"images": {"front": np.zeros((0, 5, 3), np.uint8)}}, "expected sides of 1 to 4096 pixels"),
        ({"state": "here"}, "state is a str, expected an array of 1 dimensions"),
        ({"state": np.zeros((1, 8))}, r"state is an array \(1, 8\) of float64"),
        ({"state": np.zeros(8, bool)}, "state is an array .* of bool"),
        ({"instruction": 3}, "instruction is a int, expected text"),
        ({"instruction": "lift " * 1000}, "instruction has 5000 characters, expected at most 2000"),
        ({"committed": np.full((1, 7), np.nan)}, "committed has numbers that are not finite"),
        ({"committed": np.full((1, 7), 1e300)}, "committed has numbers that are not finite"),
        ({"previous": 3}, "previous is a int, expected a map"),
        ({"previous": {"plan": 3}}, "'plan': expected fields of previous: actions, delay, drafts"),
        ({"previous": {"delay": 1}}, "actions of previous is missing, expected an array of 2 dimensions"),
        ({"previous": {"actions": np.ones((1, 7)), "delay": -1}}, "delay of previous is -1, expected an"),
        ({"previous": {"actions": np.ones((1, 7)), "delay": 0, "drafts": 3}}, "expected a list of arrays"),
        (
            {"previous": {"actions": np.ones((1, 7)), "delay": 0, "drafts": [np.full((1, 7), np.inf)]}},
            "a draft of previous has numbers that are not finite",
        ),
        (
            {"previous": {"actions": np.ones((1, 7)), "delay": 0}, "committed": np.ones((1, 7))},
            "committed and previous exclude each other",
        ),
        ({"seed": -1}, "seed is -1, expected an integer from 0"),
        ({"seed": True}, "seed is True, expected an integer"),
        ({"seed": 1.5}, "seed is a float, expected an integer"),
        ({"strategy": "afm"}, "strategy is a str, expected a map"),
        ({"strategy": {"best": 3}}, "'best': expected fields of strategy: mode, select"),
        ({"strategy": {"mode": 3}}, "mode is a int, expected text"),
        ({"strategy": {"mode": "fast"}}, "mode is 'fast', choose one of"),
        ({"strategy": {"rounds": 10**9}}, "rounds is 1000000000, expected an integer from 1 to 16"),
        ({"strategy": {"threshold": "half"}}, "threshold is a str, expected a number"),
        ({"strategy": {"threshold": float("nan")}}, "threshold is nan, expected a confidence"),
        ({"sate": np.zeros(8)}, "'sate': expected fields of infer: request, images, state"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected(changes: dict[str, Any], message: str):
    with pytest.raises(AsyncVLAError, match=message):
        infer_request(request(**changes))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("text", "the message is text, expected binary msgpack"),
        (b"", "the message is not valid"),
        (b"\xdd\xff\xff\xff\xff", "the message is not valid"),
        (b"\x81" * 2000, "the message is not valid .StackError.; expected a map"),
        (msgpack.packb([1]), "the message is a list, expected a map"),
        (
            msgpack.packb({"a": [[]] * 60, "b": [[[]] * 60] * 60}),
            f"more than {MAX_CONTAINERS} maps and lists",
        ),
        (msgpack.packb({"a": list(range(100))}), "the message is not valid .*100"),
        (msgpack.packb({1: 2}), "the message is not valid"),
    ],
)
def test_what_is_no_message_is_refused_without_much_memory(raw: Any, message: str):
    with pytest.raises(AsyncVLAError, match=message):
        unpack(raw)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
arrays = st.fixed_dictionaries(
    {"dtype": st.sampled_from(list(DTYPES)) | values, "shape": st.lists(st.integers(-2, 4)) | values}
).flatmap(lambda parts: st.binary(max_size=96).map(lambda data: {**parts, "data": data}))
fields = st.sampled_from(
    ["images", "state", "instruction", "previous", "committed", "seed", "strategy", "other"]
)


@given(st.binary(max_size=300))
def test_random_bytes_are_refused_or_read(raw: bytes):
    try:
        assert isinstance(unpack(raw), dict)
    except AsyncVLAError as error:
        assert str(error)


@given(st.dictionaries(fields, values | arrays | st.dictionaries(st.text(max_size=3), arrays, max_size=2)))
def test_random_requests_are_refused_or_read(changes: dict[str, Any]):
    whole = {"request": "infer", "images": {}, "state": from_array(np.zeros(3)), "instruction": "lift it"}
    raw = msgpack.packb({**whole, **changes})
    try:
        infer_request(unpack(raw))
    except AsyncVLAError as error:
        assert str(error)


@given(st.data())
def test_a_cut_or_flipped_request_is_refused_or_read(data: st.DataObject):
    raw = bytearray(pack({"request": "infer", "images": {"front": IMAGE}, "state": np.zeros(8)}))
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        infer_request(unpack(bytes(raw[: data.draw(st.integers(0, len(raw)))])))
    except AsyncVLAError as error:
        assert str(error)


def test_an_unknown_type_of_array_is_named_with_the_known_ones():
    raw = msgpack.packb({"a": {"dtype": "object", "shape": [1], "data": b"12345678"}})
    with pytest.raises(AsyncVLAError, match=r"dtype is 'object', expected one of .'uint8', 'float32'"):
        unpack(raw)


def test_other_maps_are_left_as_they_are():
    assert to_array({"dtype": "float32", "shape": [1]}) == {"dtype": "float32", "shape": [1]}
