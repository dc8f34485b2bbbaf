"""Begin a run with the weights of another policy, whose vocabulary may differ."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer

from asyncvla_ros.common.data_record import DataRecord
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.checkpoint import Checkpoint
from asyncvla_ros.types import AsyncVLAError

_WORDS = "backbone.qwen.language_model.embed_tokens.weight"


@torch.no_grad()
def warm_start(model: AsyncVLA, tokenizer: Tokenizer, source: Checkpoint) -> None:
    """Copy the weights of ``source`` into ``model``; words it does not know keep their random embedding.

    Args:
        model: The new network; changed in place. It has no rater, or one that stays as it is.
        tokenizer: Of the new network.
        source: A trained policy of the same architecture.

    Raises:
        AsyncVLAError: If the architectures differ.
    """
    ours = model.state_dict()
    theirs = {k: v for k, v in source.model.state_dict().items() if not k.startswith("rater.")}
    differing = sorted(
        name
        for name in (ours.keys() | theirs.keys()) - {_WORDS}
        if not name.startswith("rater.")
        and (name not in ours or name not in theirs or ours[name].shape != theirs[name].shape)
    )
    if differing:
        raise AsyncVLAError(
            f"the checkpoint to begin with has another architecture: {len(differing)} weights differ, the "
            f"first is {differing[0]!r}; train from scratch, or begin with one of this architecture"
        )
    for name, weight in theirs.items():
        if name != _WORDS:
            ours[name].copy_(weight)
    known = source.tokenizer.get_vocab()
    for word, row in tokenizer.get_vocab().items():
        if word in known:
            ours[_WORDS][row] = theirs[_WORDS][known[word]]


def require_same_holdout(source: Checkpoint, given: DataRecord) -> None:
    """Require that the initial policy has not seen what this run holds out.

    Raises:
        AsyncVLAError: If another share or other episodes of the same data were, or it is not known which.
    """
    holdout = given.holdout
    if not holdout:
        return
    if source.trained_on is None:
        raise AsyncVLAError(
            "the checkpoint to begin with does not say what it was trained on, so it may have seen what "
            f"--holdout {holdout} would hold out; give --holdout 0, and unseen data to train-rater"
        )
    every, ours = round(1 / holdout), given.first_episode()
    for before in source.trained_on.lineage():
        if not before.episodes:
            continue
        theirs = before.first_episode()
        shared = ours.keys() & theirs
        if before.holdout != holdout and (shared or not theirs):
            same = f"--holdout {before.holdout}, or " if before.holdout else ""
            raise AsyncVLAError(
                f"the checkpoint to begin with was trained with --holdout {before.holdout}, so it may have "
                f"seen what --holdout {holdout} would hold out; give {same}--holdout 0, and unseen data to "
                "train-rater"
            )
        if moved := [digest for digest in shared if (ours[digest] - theirs[digest]) % every]:
            raise AsyncVLAError(
                f"in {len(moved)} of {len(ours)} datasets other episodes would be held out than from the "
                "checkpoint to begin with; give its --data first and in the same order, or --holdout 0, and "
                "fresh data to train-rater"
            )
