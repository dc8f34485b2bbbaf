"""policy_node with a StillPolicy whose inferences wait for the test.

While the file ``GATE`` names is missing, an inference goes on; if it holds ``crash``, the inference fails.
Each one writes ``inferring NUMBER INSTRUCTION`` when it begins.
"""

from __future__ import annotations

import os
import time
from itertools import count
from pathlib import Path
from typing import Any

from asyncvla_ros.ros.lifecycle import run_node
from asyncvla_ros.ros.policy.node import PolicyNode
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import ActionChunk, Observation, Previous
from support.policies import StillPolicy


class GatedPolicy(StillPolicy):
    """Answers only while the gate is open."""

    def __init__(self, gate: Path) -> None:
        super().__init__()
        self._gate = gate
        self._numbers = count(1)

    def infer(
        self,
        observation: Observation,
        strategy: Strategy = Strategy(),
        previous: Previous | None = None,
        seed: int | None = None,
    ) -> ActionChunk:
        print(f"inferring {next(self._numbers)} {observation.instruction}", flush=True)
        while not self._gate.exists():
            time.sleep(0.002)
        if self._gate.read_text() == "crash":
            raise ZeroDivisionError("nothing to divide by")
        return super().infer(observation, strategy, previous, seed)


class GatedPolicyNode(PolicyNode):
    """The real node around it."""

    def load_policy(self) -> Any:
        return GatedPolicy(Path(os.environ["GATE"]))


if __name__ == "__main__":
    run_node(GatedPolicyNode)
