"""The server as its clients see it, good ones and bad ones."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from asyncvla_ros.model.checkpoint_files import fingerprint
from asyncvla_ros.policy import Policy
from asyncvla_ros.serve.client import PolicyClient, RequestError
from asyncvla_ros.serve.server import MAX_CLIENTS, Answers
from asyncvla_ros.serve.wire import MAX_MESSAGE, pack, unpack
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import Observation, Previous
from support.fractal_checkpoint import ACTION_NAMES, STATE_NAMES, fractal_checkpoint
from support.node_process import NodeProcess
from support.policy_server import policy_server

CAMERA = "observation.images.image"
IMAGE = np.random.default_rng(0).integers(0, 256, (128, 160, 3), dtype=np.uint8)
OBSERVATION = Observation({CAMERA: IMAGE}, np.linspace(-1, 1, 8, dtype=np.float32), "pick up the milk")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fractal_checkpoint(tmp_path_factory.mktemp("serve") / "tiny")


@pytest.fixture(scope="module")
def url(checkpoint: Path) -> Iterator[str]:
    with policy_server(checkpoint) as (_, address):
        yield address


@pytest.fixture(scope="module")
def policy(checkpoint: Path) -> Policy:
    return Policy.from_checkpoint(checkpoint, threads=1)


def ask(client: PolicyClient, **changes: Any) -> dict[str, Any]:
    values = {"images": OBSERVATION.images, "state": OBSERVATION.state, "instruction": "pick up the milk"}
    return client.infer(**{**values, **changes})


def test_a_client_gets_the_chunk_of_the_policy(url: str, policy: Policy):
    committed = np.full((2, 7), 0.25, np.float32)
    with PolicyClient(url) as client:
        reply = ask(client, seed=5, committed=committed, strategy={"threshold": 1.0, "rounds": 2})
        draft = ask(client, seed=5, strategy={"mode": "sfm"})
    strategy = Strategy(threshold=1.0, rounds=2, handover="commit")
    chunk = policy.infer(OBSERVATION, strategy, Previous(committed, 2), seed=5)
    np.testing.assert_allclose(reply["actions"], chunk.actions, atol=1e-5)
    np.testing.assert_allclose(reply["confidence"], chunk.confidence, atol=1e-5)
    np.testing.assert_array_equal(reply["refined"], [False, False, *[True] * 6])
    assert reply["committed"] == 2 and reply["variance"] is None
    times = reply["times_ms"]
    assert times["total"] >= times["prefix"] > 0 and times["afm"] > 0
    assert draft["actions"].shape == (8, 7) and not draft["refined"].any()
    alone = policy.infer(OBSERVATION, Strategy("sfm"), seed=5)
    np.testing.assert_allclose(draft["confidence"], alone.confidence, atol=1e-5)


def test_the_features_are_those_of_the_checkpoint(url: str, checkpoint: Path):
    with PolicyClient(url) as client:
        features = client.features()
    assert features["cameras"] == [{"key": CAMERA, "height": 256, "width": 320}]
    assert features["state_names"] == list(STATE_NAMES) and features["action_names"] == list(ACTION_NAMES)
    assert (features["action_space"], features["control_hz"]) == ("delta_ee_pose", 3.0)
    assert (features["chunk_size"], features["n_action_steps"], features["has_rater"]) == (8, 4, True)
    assert features["checkpoint"] == fingerprint(checkpoint) and "torch" in features["versions"]


def test_a_refusal_says_why_and_the_conversation_goes_on(url: str):
    with PolicyClient(url) as client:
        for changes, message in (
            ({"images": {}}, f"camera '{CAMERA}' is missing"),
            ({"images": {CAMERA: IMAGE[..., :2]}}, "expected .height, width, 3. uint8 RGB"),
            ({"state": np.full(8, np.nan)}, "state is not finite: x = nan"),
            ({"state": np.zeros(7)}, r"state has shape \(7,\), expected 8 numbers"),
            ({"committed": np.zeros((2, 6))}, r"expected \(k, 7\) finite numbers"),
            ({"instruction": ""}, "0 tokens, expected 1 to"),
            ({"strategy": {"mode": "fast"}}, "mode is 'fast', choose one of"),
        ):
            with pytest.raises(RequestError, match=message):
                ask(client, **changes)
        with pytest.raises(RequestError, match=r"request is 'stop', choose one of \['features', 'infer'\]"):
            client.ask({"request": "stop"})
        with pytest.raises(RequestError) as refusal:
            ask(client, state={"dtype": b"x" * 10**6, "shape": [1], "data": b""})
        assert len(str(refusal.value)) == 1000
        assert ask(client)["actions"].shape == (8, 7)


def test_clients_at_the_same_time_get_their_own_answers(url: str, policy: Policy):
    def decide(seed: int) -> np.ndarray:
        with PolicyClient(url) as client:
            return [ask(client, seed=seed)["actions"] for _ in range(3)][-1]

    with ThreadPoolExecutor(4) as pool:
        for seed, actions in zip(range(4), pool.map(decide, range(4)), strict=True):
            np.testing.assert_allclose(actions, policy.infer(OBSERVATION, seed=seed).actions, atol=1e-5)


def test_one_client_too_many_is_told_so(url: str):
    with ExitStack() as clients:
        for _ in range(MAX_CLIENTS):
            clients.enter_context(PolicyClient(url))
        with pytest.raises(InvalidStatus, match="503"):
            PolicyClient(url)


def test_pages_in_a_browser_may_not_connect(url: str):
    with pytest.raises(InvalidStatus, match="403"):
        connect(url, origin=Origin("http://example.com"), proxy=None)


def test_what_is_no_message_gets_an_error_and_what_is_too_long_ends_only_its_connection(url: str):
    with connect(url, proxy=None, compression=None, max_size=None) as raw:
        for message in ("text", b"", b"\xc1", b"\xdd\xff\xff\xff\xff"):
            raw.send(message)
            assert "error" in unpack(raw.recv())
        raw.send(bytes(MAX_MESSAGE + 1))
        with pytest.raises(ConnectionClosed, match="1009"):
            raw.recv()
    serves(url)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(handshake=st.booleans(), sent=st.binary(max_size=200))
def test_broken_connections_end_nothing_else(url: str, sent: bytes, *, handshake: bool):
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port)) as broken:
        if handshake:
            broken.sendall(
                b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            assert b"101" in broken.recv(1024)
        broken.sendall(sent)
    serves(url)


def test_a_client_that_leaves_while_the_policy_decides_ends_nothing_else(url: str):
    message = pack({"request": "infer", **{"images": OBSERVATION.images, "state": OBSERVATION.state}})
    whole = pack({**unpack(message), "instruction": "pick up the milk"})
    address = urlsplit(url)
    for part in (whole, whole[: len(whole) // 2]):
        with connect(url, proxy=None, compression=None) as leaving:
            leaving.send(part)
            leaving.socket.shutdown(socket.SHUT_RDWR)
    with socket.create_connection((address.hostname, address.port)):
        serves(url)


def serves(url: str) -> None:
    with PolicyClient(url) as client:
        assert client.features()["chunk_size"] == 8


def test_what_breaks_in_the_policy_is_an_error_of_that_request(policy: Policy, monkeypatch, capsys):
    answers = Answers(policy, {})
    message = pack(
        {
            "request": "infer",
            "images": OBSERVATION.images,
            "state": OBSERVATION.state,
            "instruction": "lift it",
        }
    )
    with monkeypatch.context() as broken:
        broken.setattr(policy, "infer", lambda *arguments: 1 / 0)
        assert unpack(answers.answer(message)) == {
            "error": "the policy failed (ZeroDivisionError: division by zero)"
        }
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert "actions" in unpack(answers.answer(message))


def test_ctrl_c_ends_it_with_a_client_connected(checkpoint: Path):
    with policy_server(checkpoint) as (process, address), PolicyClient(address):
        # Long, for a machine that stands still; it takes two seconds.
        assert process.stop(timeout=60.0) == 130
        assert "Traceback" not in process.output, process.output


def test_an_address_that_is_taken_or_elsewhere_is_one_line(checkpoint: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for options, warned in (("--port", port), False), (("--host", "192.0.2.1"), True):
            process = NodeProcess(
                ("-m", "asyncvla_ros.cli", "serve", "--checkpoint", str(checkpoint), *options)
            )
            assert process.process.wait(120) == 1
            process.stop()
            assert ("no authentication" in process.output) == warned
            assert "address" in process.output.splitlines()[-1] and "Traceback" not in process.output
