"""LIBERO as a plain environment: reset, step, observe. No ROS, no policy."""

from __future__ import annotations

import contextlib
import io
import logging
from types import TracebackType
from typing import Any

import numpy as np

from asyncvla_ros.common.transforms import matrix_to_quat_xyzw, pose_to_state, quat_xyzw_to_axis_angle
from asyncvla_ros.sim.libero.conventions import OWN, LiberoConventions
from asyncvla_ros.sim.libero.importing import prepare_import
from asyncvla_ros.sim.libero.inverse_kinematics import put_hand
from asyncvla_ros.sim.libero.placement import DISPLACE_M, arrange, displace_objects
from asyncvla_ros.sim.libero.rendering import render_fast
from asyncvla_ros.sim.libero.scene import Scene
from asyncvla_ros.sim.libero.tasks import Task, get_task, load_init_states
from asyncvla_ros.types import AsyncVLAError, Observation, RunError

ACTION_HZ = 20.0
#: Cameras with their names in the simulator.
CAMERAS = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
JOINT_NAMES = (*(f"panda_joint{i}" for i in range(1, 8)), "panda_finger_joint1", "panda_finger_joint2")
#: Action that holds still with open fingers.
IDLE_ACTION = np.array([0, 0, 0, 0, 0, 0, -1], dtype=np.float32)

RENDERINGS = ("full", "decimated", "off")
#: Joint noise of official initial states [rad]; LIBERO's reset has none.
_JOINT_NOISE_RAD = 0.02
_SETTLE_STEPS = 20
#: Drop of the lowest object that counts as a fall [m]; objects start up to 7 cm above the table, at 90 cm.
_FALL_M = 0.3
_PLACEMENT_ATTEMPTS = 10
_SEED_STRIDE = 7919


class LiberoEnv:
    """One LIBERO task as a robot with two cameras, driven in end-effector deltas at 20 Hz.

    Actions are LIBERO's own: (7,) in [-1, 1]; three translations (1 is 0.05 m), a rotation vector
    (1 is 0.5 rad) and the gripper (-1 opens, +1 closes), each relative to the current pose, along the axes
    of the robot's base, which are those of the world.

    Args:
        suite: suite name, e.g. ``libero_object``.
        task: index of the task in the suite.
        render: ``full`` meshes (official metrics), ``decimated`` (without multisampling, five times as
            fast on a CPU) or ``off``.

    Raises:
        AsyncVLAError: unknown suite, task or render mode, or LIBERO cannot start.
    """

    def __init__(self, suite: str, task: int, render: str = "full") -> None:
        if render not in RENDERINGS:
            raise AsyncVLAError(f"rendering is {render!r}, choose one of {RENDERINGS}")
        self.task: Task = get_task(suite, task)
        self._render = render
        self._env = _make_env(self.task, with_renderer=render != "off")
        self._init_states: np.ndarray | None = None
        self.scene = Scene(self._env)
        if render == "decimated":
            context = self._env.sim._render_context_offscreen
            context.gl_ctx.make_current()
            render_fast(self._env.sim.model._model, context.con)

    def __enter__(self) -> LiberoEnv:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the simulator and its GL context; idempotent."""
        if self._env is not None:
            self._env.close()
            self._env = None

    @property
    def instruction(self) -> str:
        """The task in natural language."""
        return self.task.instruction

    @property
    def success(self) -> bool:
        """Whether the goal of the task holds now."""
        return bool(self._env._check_success())

    @property
    def joint_positions(self) -> np.ndarray:
        """(9,) float64 in the order of JOINT_NAMES: arm [rad], fingers [m]."""
        return self.scene.joint_positions()

    @property
    def joint_velocities(self) -> np.ndarray:
        """(9,) float64 in the order of JOINT_NAMES: arm [rad/s], fingers [m/s]."""
        return self.scene.joint_velocities()

    @property
    def ee_pose_in_base(self) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) [m] and orientation (4,) x y z w of the point between the fingertips.

        In the frame of the robot's base, as a real arm reports it; the suites mount it at different heights.
        """
        position, rotation = self.scene.ee_pose()
        return position - self.scene.base_position(), matrix_to_quat_xyzw(rotation)

    def reset(self, seed: int, placement: str = "official", displace_m: float = DISPLACE_M) -> None:
        """Reset to a random placement of the objects and the arm.

        Args:
            seed: seed of the placement.
            placement: one of ``placement.PLACEMENTS``.
            displace_m: shift of ``widened`` placements, see ``placement.arrange``.

        Raises:
            AsyncVLAError: the kind of placement is unknown.
            RunError: no room was found, or objects fell off the table, each time.
        """
        rng, problem = np.random.default_rng(seed), ""
        for attempt in range(_PLACEMENT_ATTEMPTS):
            self._reset_robosuite(seed + attempt * _SEED_STRIDE)
            try:
                arrange(self.scene, placement, rng, displace_m)
            except RunError as error:
                # Shifted furniture can stand where an object must be.
                problem = str(error)
                continue
            standing = self.scene.lowest_object()
            self._settle()
            # LIBERO sometimes places objects inside each other, which then burst apart and off the table.
            if self.scene.lowest_object() > standing - _FALL_M:
                return
            problem = "objects fell off the table"
        raise RunError(
            f"seed {seed} gave no placement in {_PLACEMENT_ATTEMPTS} attempts; the last: {problem}"
        )

    def reset_to_init(self, index: int, displace_m: float = 0.0, seed: int = 0) -> None:
        """Reset to the official initial state ``index`` (for evaluation, never for training).

        Args:
            index: index of the state.
            displace_m: greatest displacement of objects in x and y, a control experiment [m].
            seed: seed of the displacement.

        Raises:
            AsyncVLAError: the state does not exist.
        """
        self.require_init(index)
        # Fixtures are not part of an official state; a fixed seed makes them the same every time.
        self._reset_robosuite(seed=0)
        self._env.sim.set_state_from_flattened(self.init_states()[index])
        self._env.sim.forward()
        if displace_m > 0:
            displace_objects(self.scene, np.random.default_rng((seed, index)), displace_m)
        self._settle()

    def require_init(self, index: int) -> None:
        """Raise AsyncVLAError unless the official initial state exists."""
        count = len(self.init_states())
        if not 0 <= index < count:
            raise AsyncVLAError(
                f"{self.task.suite} task {self.task.index} has no initial state {index}, "
                f"expected 0 to {count - 1}"
            )

    def init_states(self) -> np.ndarray:
        """Return the official initial states, (n, state size) float64."""
        if self._init_states is None:
            self._init_states = load_init_states(self.task)
        return self._init_states

    def step(self, action: np.ndarray) -> None:
        """Advance one control step (1/20 s).

        Args:
            action: (7,) in [-1, 1]; values outside are clipped.

        Raises:
            AsyncVLAError: wrong shape or not finite.
        """
        action = np.asarray(action, dtype=np.float64)
        if action.shape != (7,) or not np.all(np.isfinite(action)):
            raise AsyncVLAError(f"expected a finite action of shape (7,), got {action!r}")
        self._env.step(np.clip(action, -1.0, 1.0))

    def put_hand(self, position: np.ndarray, rotation: np.ndarray, opening: float) -> bool:
        """Put the hand at a pose in the world, see ``inverse_kinematics.put_hand``."""
        return put_hand(self._env, position, rotation, opening)

    def observe(self, stamp_ns: int = 0, conventions: LiberoConventions = OWN) -> Observation:
        """Return the present observation; the only call that renders."""
        return Observation(
            images=self.render_images(conventions),
            state=self.state(conventions),
            instruction=self.instruction,
            stamp_ns=stamp_ns,
        )

    def state(self, conventions: LiberoConventions = OWN) -> np.ndarray:
        """Return the state (11,) float32 in the order of STATE_NAMES, or (8,) in that of public datasets."""
        fingers = self.joint_positions[7:].astype(np.float32)
        if conventions.state == "own":
            return np.concatenate([pose_to_state(*self.ee_pose_in_base), fingers])
        position, _ = self.scene.ee_pose()
        rotation = quat_xyzw_to_axis_angle(self.scene.hand_quat_xyzw())
        return np.concatenate([position, rotation, fingers]).astype(np.float32)

    def render_images(self, conventions: LiberoConventions = OWN) -> dict[str, np.ndarray]:
        """Render images (h, w, 3) uint8 RGB by camera key; by default (224, 224, 3), upright."""
        if self._render == "off":
            raise AsyncVLAError("this environment was made with render='off', expected 'full' or 'decimated'")
        images = {}
        # Another environment of this process may have made its GL context current.
        self._env.sim._render_context_offscreen.gl_ctx.make_current()
        for view in conventions.cameras:
            bottom_up = self._env.sim.render(
                width=view.width, height=view.height, camera_name=CAMERAS[view.camera]
            )
            images[view.key] = conventions.oriented(bottom_up)
        return images

    def _reset_robosuite(self, seed: int) -> None:
        from robosuite.utils.errors import RandomizationError

        # LIBERO adds a fixture's pose to that of its regions as if the fixture were still at the origin,
        # which is wrong without a hard reset.
        for name in self._env.fixtures_dict:
            body = self._env.obj_body_id[name]
            self._env.sim.model.body_pos[body] = 0.0
            self._env.sim.model.body_quat[body] = (1.0, 0.0, 0.0, 0.0)
        # The gripper would integrate its commands across resets.
        gripper = self._env.robots[0].gripper
        gripper.current_action = np.zeros(gripper.dof)
        # robosuite uses numpy's global generator.
        np.random.seed(seed % 2**32)
        for _ in range(100):
            try:
                self._env.reset()
                return
            except RandomizationError:
                continue
        raise RunError(f"no valid object placement found for seed {seed} in 100 tries")

    def _settle(self) -> None:
        """Let objects come to rest for 20 steps, because a bowl needs more than LIBERO's 5 to 10."""
        for _ in range(_SETTLE_STEPS):
            self.step(IDLE_ACTION)


def _make_env(task: Task, *, with_renderer: bool) -> Any:
    """Make the robosuite environment of a task, without its slow observations."""
    prepare_import()
    logging.getLogger("robosuite_logs").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        from libero.libero.envs.env_wrapper import ControlEnv

        env = ControlEnv(
            bddl_file_name=str(task.scene_file),
            use_camera_obs=False,
            has_offscreen_renderer=with_renderer,
            # A hard reset would recompile the model: 4 s instead of 0.03 s, for the same placements.
            hard_reset=False,
            ignore_done=True,
            control_freq=int(ACTION_HZ),
            initialization_noise={"magnitude": _JOINT_NOISE_RAD, "type": "gaussian"},
        ).env
    # Observables are evaluated at every physics substep; nothing here reads them.
    for name in list(env._observables):
        env._observables[name].set_enabled(False)
    return env
