"""What both training loops share: processes, progress, logging, and a state that survives a kill."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.multiprocessing import ProcessRaisedException

from asyncvla_ros.common.same_settings import fixed_settings, require_same_settings
from asyncvla_ros.common.sole_writer import sole_writer
from asyncvla_ros.types import AsyncVLAError

# Episodes that an error lists.
LISTED = 20


def launch(worker: Callable[..., None], processes: int, *args: object) -> None:
    """Run ``worker(*args)`` in this process, or in several that average their gradients.

    On a CPU one process per core beats one process with many threads, whose barriers wait for whatever
    else the machine does. Under ``accelerate launch`` or ``torchrun`` the processes exist already.

    Raises:
        AsyncVLAError: As ``worker`` does, in whichever process.
    """
    if processes <= 1 or "RANK" in os.environ:
        worker(*args)
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    refusals = torch.multiprocessing.get_context("spawn").SimpleQueue()
    try:
        torch.multiprocessing.spawn(_ranked, (processes, port, refusals, worker, args), nprocs=processes)
    except ProcessRaisedException as error:
        if refusals.empty():
            raise
        raise AsyncVLAError(refusals.get()) from error


def require_finite(loss: float, step: int, episodes: Sequence[int], out: Path) -> None:
    """Stop before a step that would spoil the weights.

    Args:
        loss: Of the step.
        step: Its number.
        episodes: From which its batch was drawn.
        out: Run folder, whose last saved state is good.

    Raises:
        AsyncVLAError: The loss is no number.
    """
    if math.isfinite(loss):
        return
    drawn = sorted(set(episodes))
    listed = ", ".join(map(str, drawn[:LISTED])) + (", ..." if len(drawn) > LISTED else "")
    raise AsyncVLAError(
        f"the loss is {loss} at step {step}, whose batch is of the episodes {listed}; nothing of this step "
        f"is kept. A rerun goes on from the last state in {out}; look at the data with `asyncvla data`, or "
        "lower the learning rate"
    )


def sole_run(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Held by the process that begins a run in ``folder``: two would delete each other's states.

    Raises:
        AsyncVLAError: If another run is in progress there.
    """
    if os.environ.get("RANK", "0") != "0":
        return contextlib.nullcontext()
    return sole_writer(folder / ".lock", f"a training into {folder}")


def _ranked(
    rank: int,
    processes: int,
    port: int,
    refusals: SimpleQueue[str],
    worker: Callable[..., None],
    args: tuple[Any, ...],
) -> None:
    # torch ends orphans by SIGINT, which a shell's background jobs ignore unless told otherwise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(processes),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        # accelerate would set its own number of threads otherwise.
        OMP_NUM_THREADS=str(max(1, (os.cpu_count() or 1) // processes)),
    )
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    try:
        worker(*args)
    except AsyncVLAError as error:
        refusals.put(str(error))
        raise


def default_processes(batch: int) -> int:
    """As many as there are GPUs, or CPUs, if the batch can be shared equally."""
    return math.gcd(batch, torch.cuda.device_count() or os.cpu_count() or 1)


def default_workers(decode: str) -> int:
    """Processes that make batches, for each that trains: decoded images need none."""
    return 2 if decode == "stream" else 0


def share(batch: int, processes: int) -> int:
    """Observations of each process.

    Raises:
        AsyncVLAError: If the batch cannot be shared equally.
    """
    if batch % processes:
        raise AsyncVLAError(
            f"--batch is {batch}, expected a multiple of the {processes} processes; choose another --batch "
            "or --processes"
        )
    return batch // processes


class RunState:
    """Step, network, averaged network and optimizer of a run, on disk as safetensors and JSON.

    Args:
        folder: Of the run.
        settings: All that decides what is learned, and more.
        free: Names of the settings that may differ between a run and its continuation.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], free: Collection[str] = ()) -> None:
        self._folder = folder / "state"
        self._settings = fixed_settings(settings, free)

    def load(self, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer) -> int:
        """Restore a run where it stopped; returns the steps done, 0 for a new run.

        Raises:
            AsyncVLAError: If the folder holds a run with other settings.
        """
        file = self._folder / "progress.json"
        if not file.is_file():
            return 0
        progress = json.loads(file.read_text())
        found = f"{self._folder} holds a run with other settings"
        require_same_settings(progress["settings"], self._settings, found, "choose another --out")
        tensors = load_file(self._folder / progress["file"])
        for name, module in modules.items():
            own = {k.removeprefix(f"{name}/"): v for k, v in tensors.items() if k.startswith(f"{name}/")}
            module.load_state_dict(own)
        state = optimizer.state_dict()
        for key, value in tensors.items():
            if key.startswith("optimizer/"):
                _, index, field = key.split("/")
                state["state"].setdefault(int(index), {})[field] = value
        optimizer.load_state_dict(state)
        return int(progress["step"])

    def save(self, step: int, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer) -> None:
        """Write the state; a kill at any moment leaves the previous or the new one, never a mixture."""
        self._folder.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, Tensor] = {}
        for name, module in modules.items():
            tensors |= {
                f"{name}/{k}": v.detach().clone().contiguous() for k, v in module.state_dict().items()
            }
        for index, fields in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{k}": v.detach().clone().contiguous() for k, v in fields.items()}
        name = f"step_{step:07d}.safetensors"
        save_file(tensors, self._folder / name)
        progress = self._folder / "progress.json"
        partial = progress.with_suffix(".partial")
        partial.write_text(json.dumps({"step": step, "file": name, "settings": self._settings}, indent=1))
        partial.replace(progress)
        for old in self._folder.glob("step_*.safetensors"):
            if old.name != name:
                old.unlink()


class Log:
    """A progress bar for people and one JSON line per report for programs; silent on all but one process."""

    def __init__(self, folder: Path, title: str, start: int, steps: int, visible: bool) -> None:
        self._progress = Progress(
            TextColumn(title),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            disable=not visible,
        )
        self._start, self._steps = start, steps
        self._file = folder / "log.jsonl" if visible else None
        self._task = self._progress.add_task(title, total=steps, completed=start, text="")

    def steps(self) -> Iterator[int]:
        """The steps still to do."""
        with self._progress:
            for step in range(self._start, self._steps):
                yield step
                self._progress.update(self._task, completed=step + 1)

    def report(self, step: int, **values: float) -> None:
        """Show and append one line."""
        self._progress.update(self._task, text="  ".join(f"{k} {v:.4g}" for k, v in values.items()))
        if self._file:
            with self._file.open("a") as out:
                out.write(json.dumps({"step": step, **values}) + "\n")
