"""Checkpoints with retired keys in ``config.json`` are still read, with their graphs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asyncvla_ros.model.config import load_config
from asyncvla_ros.paths import shipped_checkpoint
from asyncvla_ros.policy import Policy
from asyncvla_ros.types import CheckpointError
from support.checkpoints import tiny_checkpoint


def test_a_config_from_before_the_present_keys_is_the_same(tmp_path: Path):
    folder = tiny_checkpoint(tmp_path / "tiny", n_action_steps=3)
    config, file = load_config(folder), folder / "config.json"
    values = json.loads(file.read_text())
    values["execute_steps"] = values.pop("n_action_steps")
    values["action_chunk_size"] = values.pop("chunk_size")
    file.write_text(json.dumps(values))
    assert load_config(folder) == config
    values["n_action_steps"] = 2
    file.write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=r"unknown keys \['execute_steps'\]"):
        load_config(folder)


def test_the_shipped_graphs_fit_the_shipped_config():
    values = json.loads((shipped_checkpoint() / "config.json").read_text())
    assert "execute_steps" in values, "its bytes are part of the fingerprint in all results"
    policy = Policy.from_checkpoint(engine="onnx")
    assert (policy.chunk_size, policy.n_action_steps) == (8, 4)
