"""Lifecycle node that turns cameras, robot state and an instruction into action chunks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter

from asyncvla_ros.paths import robot_file
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros.lifecycle import run_node
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.ros.policy.metrics import PolicyMetrics
from asyncvla_ros.ros.policy.parameters import PolicyParameters
from asyncvla_ros.ros.policy.session import PolicySession
from asyncvla_ros.ros.session_node import SessionNode

if TYPE_CHECKING:
    from asyncvla_ros.policy import Policy


class PolicyNode(SessionNode[PolicySession]):
    """Parameters, lifecycle and diagnostics of the policy.

    What happens while it is configured: ``PolicySession``. What it computes: ``asyncvla_ros.policy``.
    Threads: every field belongs to the thread of the executor; what others touch is in the session.
    """

    def __init__(self) -> None:
        super().__init__("policy")
        # rclpy calls the callback added last first: this one sees only changes that Parameters permits.
        self.add_on_set_parameters_callback(self._on_instruction)
        self._params = Parameters(self, PolicyParameters, self._on_change)
        #: They count since the node was started; the inference thread of each session writes them.
        self._metrics = PolicyMetrics()

    def load_policy(self) -> Policy:
        """Load the policy that the parameters name."""
        # Imported late: torch takes seconds, and a subclass with another policy starts without it.
        from asyncvla_ros.policy import Policy

        values = self._params.values
        checkpoint = Path(values.checkpoint).expanduser() if values.checkpoint else None
        return Policy.from_checkpoint(
            checkpoint, values.device, values.threads or None, values.engine, weights=values.weights
        )

    def make_session(self) -> PolicySession:
        """Load contract and checkpoint, check that they fit, warm up, and subscribe."""
        _ = self._params.values.strategy  # raises before anything takes time
        robot = load_robot(robot_file(self._params.values.robot))
        return PolicySession(self, self._params, robot, self.load_policy(), metrics=self._metrics)

    def _on_change(self, old: PolicyParameters, new: PolicyParameters) -> None:
        _ = new.strategy  # raises to refuse the change
        if self._session is not None:
            self._session.change(new)

    def _on_instruction(self, parameters: list[Parameter]) -> SetParametersResult:
        """Follow a new standing instruction; setting the same one again ends a running task, too."""
        for parameter in parameters:
            if parameter.name != "instruction":
                continue
            if self._session is None:
                self.get_logger().info(f"instruction: {parameter.value!r}")
            else:
                self._session.follow(parameter.value)
        return SetParametersResult(successful=True)


def main() -> None:
    """Run the ``policy_node`` executable."""
    run_node(PolicyNode)


if __name__ == "__main__":
    main()
