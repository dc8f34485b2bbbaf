"""The configuration that defines an AsyncVLA network, as one frozen value.

The backbone is described by the keyword arguments of transformers' ``Qwen2_5_VLConfig``, so a ``nano``
network and a 3B one are the same classes with other numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from asyncvla_ros.common.json_file import read_json
from asyncvla_ros.common.renamed import with_present_keys
from asyncvla_ros.model.config_checks import MOST, require_count, require_known
from asyncvla_ros.model.rater_config import RaterConfig
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError, CheckpointError

# What is counted in a config: at least one, and no more than any network has.
COUNTS = (
    "num_cameras", "image_size", "max_words", "chunk_size", "max_state_dim", "max_action_dim",
    "num_action_layers", "num_denoise_steps", "num_refine_steps", "n_action_steps",
)  # fmt: skip
ATTENTIONS = ("matmul", "sdpa", "flash_attention_2")
DTYPES = ("float32", "bfloat16")
VISIONS = ("tower", "spatial_softmax")
# Where images and instruction stand in a prompt.
IMAGES, INSTRUCTION = "{images}", "{instruction}"


@dataclass(frozen=True)
class AsyncVLAConfig:
    """Shape of the network and of its inputs.

    Attributes:
        backbone: Keyword arguments of ``Qwen2_5_VLConfig`` (``text_config``, ``vision_config``, token ids).
        num_cameras: Images per observation.
        image_size: Height and width of resized images [px].
        max_words: Most text tokens of an instruction; longer ones are refused.
        chunk_size: Actions per chunk.
        max_state_dim: State dims after padding.
        max_action_dim: Action dims after padding.
        num_action_layers: Linear layers of the output projection (1 is a plain linear map).
        num_denoise_steps: Euler steps of synchronous generation.
        num_refine_steps: Euler steps of a refinement.
        n_action_steps: Actions of a chunk to execute before the next inference.
        vision: ``tower`` is Qwen2.5-VL's; ``spatial_softmax`` learns from few images, see the module
            ``model.spatial_softmax``.
        coordinate_channels: Two image channels that hold each pixel's own x and y, for vision from scratch.
        image_token_embedding: A learned vector per camera and image token, for vision from scratch.
        attention: ``matmul`` (fastest for small networks on a CPU), ``sdpa``, or ``flash_attention_2``, which
            needs the flash-attn package and serves the vision tower; the masks of the language model are
            beyond it.
        dtype: Type of the backbone's weights; all else, and its rotary frequencies, are float32.
        image_mean: Mean of each color, subtracted from pixels in [0, 1].
        image_std: Deviation of each color, the divisor of the difference.
        prompt: Text around images and instruction.
        prompt_head_tokens: Number of tokens before the images.
        rater: None for a policy without a confidence rater.
        blank_images: Control experiment: replace all images by black ones, in training and inference.
        strategy: Default strategy: fields of ``Strategy`` by name, without the steps, which are
        ``num_denoise_steps`` and ``num_refine_steps``; missing fields are as in the paper.
    """

    backbone: Mapping[str, Any]
    num_cameras: int = 2
    image_size: int = 112
    max_words: int = 24
    chunk_size: int = 8
    max_state_dim: int = 16
    max_action_dim: int = 8
    num_action_layers: int = 1
    num_denoise_steps: int = 10
    num_refine_steps: int = 10
    n_action_steps: int = 4
    vision: str = "tower"
    coordinate_channels: bool = True
    image_token_embedding: bool = True
    attention: str = "matmul"
    dtype: str = "float32"
    image_mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    image_std: tuple[float, ...] = (0.5, 0.5, 0.5)
    prompt: str = IMAGES + INSTRUCTION
    prompt_head_tokens: int = 0
    rater: RaterConfig | None = field(default_factory=RaterConfig)
    blank_images: bool = False
    strategy: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in COUNTS:
            require_count(name, getattr(self, name))
        if not isinstance(self.backbone, Mapping):
            raise CheckpointError(f"backbone is {self.backbone!r}, expected an object")
        for name, choices in (("attention", ATTENTIONS), ("dtype", DTYPES), ("vision", VISIONS)):
            if getattr(self, name) not in choices:
                raise CheckpointError(f"{name} is {getattr(self, name)!r}, choose one of {choices}")
        for name in ("image_mean", "image_std"):
            values = getattr(self, name)
            if not isinstance(values, tuple) or len(values) != 3 or not all(map(_is_share, values)):
                raise CheckpointError(f"{name} is {values!r}, expected three numbers from 0 to 1")
        if not all(self.image_std):
            raise CheckpointError(f"image_std is {self.image_std!r}, expected numbers above 0")
        self._require_prompt()
        self._require_strategy()
        if self.n_action_steps > self.chunk_size:
            raise CheckpointError(
                f"n_action_steps is {self.n_action_steps}, expected at most "
                f"the {self.chunk_size} actions of a chunk"
            )

    def _require_prompt(self) -> None:
        prompt, head = self.prompt, self.prompt_head_tokens
        if not isinstance(prompt, str) or prompt.count(IMAGES) != 1 or prompt.count(INSTRUCTION) != 1:
            raise CheckpointError(
                f"prompt is {prompt!r}, expected a text with {IMAGES} and {INSTRUCTION} once"
            )
        if prompt.index(IMAGES) > prompt.index(INSTRUCTION):
            raise CheckpointError(f"prompt is {prompt!r}, expected {IMAGES} before {INSTRUCTION}")
        if isinstance(head, bool) or not isinstance(head, int) or not 0 <= head <= MOST:
            raise CheckpointError(f"prompt_head_tokens is {head!r}, expected a whole number of at least 0")

    def _require_strategy(self) -> None:
        known = sorted({f.name for f in fields(Strategy)} - {"denoise_steps", "refine_steps"})
        if not isinstance(self.strategy, Mapping) or not set(self.strategy) <= set(known):
            raise CheckpointError(
                f"strategy in config.json is {self.strategy!r}, expected an object with keys of {known}; the "
                "steps are num_denoise_steps and num_refine_steps"
            )
        try:
            self.resolve(Strategy())
        except AsyncVLAError as error:
            raise CheckpointError(f"strategy in config.json: {error}") from error

    def resolve(self, strategy: Strategy) -> Strategy:
        """Fill the open fields of a strategy with this checkpoint's defaults.

        Raises:
            AsyncVLAError: If the two do not fit together.
        """
        steps = {"denoise_steps": self.num_denoise_steps, "refine_steps": self.num_refine_steps}
        return strategy.complete({**steps, **self.strategy})

    @property
    def hidden_size(self) -> int:
        """Width of the language model's tokens."""
        return int(self.backbone["text_config"]["hidden_size"])

    @property
    def image_grid(self) -> int:
        """Vision patches along one side of an image."""
        return self.image_size // int(self.backbone["vision_config"]["patch_size"])

    @property
    def tokens_per_image(self) -> int:
        """Language-model tokens of one image."""
        return (self.image_grid // self.merge_size) ** 2

    @property
    def num_image_tokens(self) -> int:
        """Tokens of all images of a prefix, each with its start and end."""
        return self.num_cameras * (2 + self.tokens_per_image)

    @property
    def image_span(self) -> slice:
        """Where these stand in a prefix."""
        return slice(self.prompt_head_tokens, self.prompt_head_tokens + self.num_image_tokens)

    @property
    def merge_size(self) -> int:
        """Vision patches along one side of a token."""
        return int(self.backbone["vision_config"]["spatial_merge_size"])

    @property
    def window_tokens(self) -> int:
        """Tokens along one side of a window of the vision tower's attention."""
        vision = self.backbone["vision_config"]
        return int(vision["window_size"]) // int(vision["patch_size"]) // self.merge_size

    @property
    def has_equal_windows(self) -> bool:
        """Whether the windows of the vision tower's attention, if it has any, all have as many patches."""
        vision = self.backbone["vision_config"]
        if set(vision["fullatt_block_indexes"]) >= set(range(vision["depth"])):
            return True
        side, window = self.image_grid // self.merge_size, self.window_tokens
        return side % window == 0 or side <= window

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values for ``config.json``."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> AsyncVLAConfig:
        """Return the inverse of ``to_dict``.

        Raises:
            CheckpointError: If a key is unknown or missing.
        """
        if isinstance(values, Mapping):
            values = with_present_keys(values)
        require_known(values, AsyncVLAConfig, "config.json")
        if "backbone" not in values:
            raise CheckpointError("config.json has no 'backbone' (the keyword arguments of Qwen2_5_VLConfig)")
        rater = values.get("rater")
        colors = {k: tuple(v) for k in ("image_mean", "image_std") if isinstance(v := values.get(k), list)}
        return AsyncVLAConfig(
            **{**values, **colors, "rater": RaterConfig.from_dict(rater) if rater else None}
        )


def load_config(folder: Path) -> AsyncVLAConfig:
    """Read the configuration of a checkpoint's network.

    Raises:
        CheckpointError: If the folder is no checkpoint.
    """
    file = folder / "config.json"
    if not file.is_file():
        raise CheckpointError(f"{folder} is not an AsyncVLA checkpoint: {file.name} not found")
    return AsyncVLAConfig.from_dict(read_json(file, CheckpointError))


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
