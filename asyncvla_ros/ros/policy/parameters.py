"""Parameters of policy_node."""

from __future__ import annotations

from dataclasses import dataclass

from asyncvla_ros.ros import qos
from asyncvla_ros.ros.parameters import parameter
from asyncvla_ros.strategy import (
    CHOICES,
    ENGINES,
    HANDOVERS,
    JACOBIANS,
    MODES,
    SELECTIONS,
    WEIGHTS,
    Strategy,
    strategy_of_parameters,
)

# What is done about a doubtful episode.
HOLD = "hold"
_OWN = "empty: as the checkpoint says"


@dataclass(frozen=True)
class PolicyParameters:
    """Topology is fixed at the start; what tunes or tasks the policy may change at any time."""

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
    mode: str = parameter(
        "", f"afm: the rater's doubts are generated again; sfm: one pass; {_OWN}", choices=("", *MODES)
    )
    select: str = parameter(
        "",
        "What afm generates again: what the rater doubts, as many at random, or what varied while denoised; "
        + _OWN,
        choices=("", *SELECTIONS),
    )
    threshold: float = parameter(
        -1.0,
        "Generate again below this confidence or, with select variance, above this variance; -1: the "
        "checkpoint's confidence",
        minimum=-1.0,
        maximum=100.0,
    )
    rounds: int = parameter(0, "Generate again at most so often; 0: the checkpoint's", minimum=0, maximum=100)
    denoise_steps: int = parameter(0, "Euler steps of a draft; 0: the checkpoint's", minimum=0, maximum=1000)
    refine_steps: int = parameter(
        0, "Euler steps of generating again; 0: the checkpoint's", minimum=0, maximum=1000
    )
    best_of: int = parameter(0, "Drafts, of which one is made; 0: the checkpoint's", minimum=0, maximum=100)
    choose: str = parameter(
        "",
        "What is made of several drafts: the rater's favorite, their mean, the most central, or the one that "
        f"is nearest to the old plan; {_OWN}",
        choices=("", *CHOICES),
    )
    handover: str = parameter(
        "", f"How a chunk follows the plan in execution; {_OWN}", choices=("", *HANDOVERS)
    )
    jacobian: str = parameter(
        "", f"Of handover guided: without a backward pass, or with; {_OWN}", choices=("", *JACOBIANS)
    )
    guidance: float = parameter(
        -1.0, "Of handover guided: its largest weight; -1: the checkpoint's", minimum=-1.0, maximum=1000.0
    )
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
        0.5, "No inference on an observation older than this [s]", minimum=0.001, maximum=60.0
    )
    max_skew_s: float = parameter(
        0.1, "No inference on streams further apart than this [s]", minimum=0.0, maximum=60.0
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
