"""Parameters of policy_node."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, get_args, get_type_hints

from asyncvla_ros.common.options import CHOICES, HELP
from asyncvla_ros.observe.stream_sync import MAX_AGE_S, MAX_SKEW_S
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.parameters import parameter
from asyncvla_ros.strategy import ENGINES, WEIGHTS, Strategy, strategy_of_parameters

# Value of on_doubt: stop while an episode is doubtful.
HOLD = "hold"
# A parameter cannot be None; these values stand for it, see ``strategy_of_parameters``.
_NOTHING: dict[type, Any] = {str: "", int: 0, float: -1.0}


def strategy_parameter(name: str, maximum: float | None = None) -> Any:
    """Create the parameter that sets a field of ``Strategy``, with the help and choices of the field.

    Args:
        name: Name of the field.
        maximum: Largest permitted number; ROS has no range without an upper end.
    """
    (metadata,) = (field.metadata for field in fields(Strategy) if field.name == name)
    nothing = _NOTHING[get_args(get_type_hints(Strategy)[name])[0]]
    is_text = isinstance(nothing, str)
    unsaid = "empty" if is_text else f"{nothing:g}"
    return parameter(
        nothing,
        f"{metadata[HELP].rstrip('.')}; {unsaid}: as the checkpoint says",
        minimum=None if is_text else nothing,
        maximum=maximum,
        choices=("", *metadata[CHOICES]) if is_text else (),
    )


@dataclass(frozen=True)
class PolicyParameters:
    """Parameters of policy_node: topics are fixed at the start, the instruction and tuning are not."""

    checkpoint: str = parameter("", "Checkpoint folder; empty: the shipped one", read_only=True)
    robot: str = parameter(
        "libero_panda", "Robot contract: a name in config/robots or a .yaml", read_only=True
    )
    device: str = parameter("cpu", "torch device, such as cpu or cuda:0", read_only=True)
    threads: int = parameter(
        0, "CPU threads of one inference; 0: torch decides", minimum=0, maximum=256, read_only=True
    )
    engine: str = parameter(
        "auto",
        "How the network runs: plain, onnx, compiled, graph (CUDA graphs), or auto: graph on CUDA; elsewhere "
        "onnx where the checkpoint has graphs, else plain",
        choices=("auto", *ENGINES),
        read_only=True,
    )
    weights: str = parameter(
        "checkpoint",
        "The backbone's weights: as in the checkpoint, or int8 or fp8, if the actions stay the same",
        choices=WEIGHTS,
        read_only=True,
    )
    mode: str = strategy_parameter("mode")
    select: str = strategy_parameter("select")
    threshold: float = strategy_parameter("threshold", maximum=100.0)
    rounds: int = strategy_parameter("rounds", maximum=100)
    denoise_steps: int = strategy_parameter("denoise_steps", maximum=1000)
    refine_steps: int = strategy_parameter("refine_steps", maximum=1000)
    best_of: int = strategy_parameter("best_of", maximum=100)
    choose: str = strategy_parameter("choose")
    handover: str = strategy_parameter("handover")
    jacobian: str = strategy_parameter("jacobian")
    guidance: float = strategy_parameter("guidance", maximum=1000.0)
    instruction: str = parameter(
        "", "What to do outside of tasks; empty: no inference. Setting it ends a running task"
    )
    commit: bool = parameter(False, "Deprecated: the same as handover commit")
    on_doubt: str = parameter(
        "nothing",
        "Once the checkpoint's monitor finds what is followed doubtful: nothing but a warning, or hold: the "
        "motion ends, and no chunk is sent until the doubt is over",
        choices=("nothing", HOLD),
    )
    seed: int = parameter(
        -1,
        "Noise is drawn from this and the observation's stamp; -1: different each time",
        minimum=-1,
        maximum=2**31,
    )
    max_observation_age_s: float = parameter(
        MAX_AGE_S, "No inference on an observation older than this [s]", minimum=0.001, maximum=60.0
    )
    max_skew_s: float = parameter(
        MAX_SKEW_S, "No inference on streams further apart than this [s]", minimum=0.0, maximum=60.0
    )
    sensor_reliability: str = parameter(
        "best_effort", "QoS of cameras and robot state", choices=tuple(qos.RELIABILITIES), read_only=True
    )
    episode_status_topic: str = parameter(
        "", "Simulator's EpisodeStatus that ends tasks; empty: none", read_only=True, is_topic=True
    )
    autostart: bool = parameter(False, "Configure and activate at the start", read_only=True)

    @property
    def strategy(self) -> Strategy:
        """How to decide.

        Raises:
            AsyncVLAError: If the parameters do not go together.
        """
        return strategy_of_parameters(vars(self))

    @property
    def max_age_ns(self) -> int:
        """Oldest observation to infer on [ns]."""
        return round(self.max_observation_age_s * 1e9)

    @property
    def max_skew_ns(self) -> int:
        """Largest time between two streams of an observation [ns]."""
        return round(self.max_skew_s * 1e9)
