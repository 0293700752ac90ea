"""Parts of `tests.benchmarks.gpu` about whole trainings: their energy, their errors, their end and their commands."""

import argparse
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks import fused_trainings, gpu_data
from tests.benchmarks.figures import Figure, record
from tests.benchmarks.gpu_device import Device

#: Epochs of a whole training, and the energy that is aimed at for one of task 4 on a GPU, kWh.
_WHOLE, _KWH = 200, 0.12
#: Seconds from the beginning of a compiled training to the signal, and within which a training must end.
_COMPILING, _LONGEST = 8.0, 120.0
#: Trains scenes for many epochs until a signal ends it.
_TRAIN = """
import tempfile
from pathlib import Path
from dcase_sweep.utils.signals import Interrupted, interruptible
from tests.benchmarks import gpu_data
features = gpu_data.random_features(({clips}, 40, 500), "cpu")
learner = gpu_data.scene_learner(features, {sizes}, {words})
with tempfile.TemporaryDirectory() as folder:
    print("begins", flush=True)
    try:
        with interruptible():
            learner.fit(Path(folder), extra={{}}, on_epoch=lambda epoch, metrics: print("epoch", epoch, flush=True))
    except Interrupted as error:
        error.handled()
        print("interrupted", flush=True)
"""
#: A command that trains a tiny network of each task.
_TINY = {
    "1a": ("data.seconds=1", "model.blocks.2.pool=[4,5]", "training.epochs=2"),
    "4": (
        *("data.seconds=1", "front_end.n_mels=64", "model.filters=[4,8]", "model.pools=[[8,2],[8,2]]"),
        *("mean_teacher.strong=2", "mean_teacher.weak=2", "mean_teacher.unlabelled=2", "training.epochs=2"),
    ),
}


class _Unlogged:
    """A run that keeps nothing."""

    def logged_metrics(self) -> dict[str, float]:
        return {}

    def log_metrics(self, metrics: dict[str, float]) -> None:
        pass


def measure_energy(options: argparse.Namespace) -> dict[str, float]:
    """Kilowatt hours of the machine for 200 epochs, by CodeCarbon, from the epochs after the first."""
    from dcase_sweep.config import Tracking
    from dcase_sweep.tracking.energy import measured_energy
    from tests.benchmarks.gpu import event_sizes

    if importlib.util.find_spec("codecarbon") is None:
        print("energy is not measured: CodeCarbon is not installed (extra energy)")
        return {}
    device: Device = options.device
    found: dict[str, float] = {}
    epochs = 3 if options.small else max(4, options.epochs)
    for task in ("scenes", "events"):
        words = (device.hardware, f"training.epochs={epochs}")
        if task == "scenes":
            sizes = (64, 16) if options.small else gpu_data.SCENES
            features = gpu_data.random_features((sum(sizes), 40, 500), device.name)
            learner: Any = gpu_data.scene_learner(features, sizes, *words)
        else:
            batches, validated = event_sizes(options)
            shape = (gpu_data.event_sizes(batches, validated), 128, 626)
            learner = gpu_data.event_learner(
                abs(gpu_data.random_features(shape, device.name)), batches, validated, *words
            )
        with ExitStack() as measuring, tempfile.TemporaryDirectory() as folder:
            used: dict[str, float] = {}

            def end(epoch: int, metrics: dict[str, float]) -> None:
                nonlocal used
                if epoch == 0:  # libraries have chosen their algorithms, and the step is recorded
                    used = measuring.enter_context(measured_energy("training", Tracking(energy=True), _Unlogged()))

            learner.fit(Path(folder), extra={}, on_epoch=end)
        kwh = found[task] = used.get("energy/training_kwh", float("nan")) * _WHOLE / (epochs - 1)
        aim = _KWH if task == "events" and device.is_gpu and not options.small else None
        record(Figure(f"{task}: energy of the machine for {_WHOLE} epochs", kwh, "kWh", "smaller", aim))
        print(f"{task}: {kwh:.3g} kWh of the machine for {_WHOLE} epochs, from {epochs - 1} epochs", flush=True)
    return found


def show_messages(options: argparse.Namespace) -> dict[str, Any]:
    """The messages for a batch, and for jobs, that do not fit in 3 GiB of the card, and the seconds until they come."""
    if not options.device.is_gpu:
        print("the messages of a full GPU are not shown: there is none")
        return {}
    sizes, found = (805, 16), {}
    words = ("hardware=gpu", "hardware.precision=32-true", "training.epochs=2", "training.batch_size=805")
    with tempfile.TemporaryDirectory() as folder:
        features = fused_trainings.store(gpu_data.random_features((sum(sizes), 40, 500), "cuda"), Path(folder))

        def train(seed: int) -> str:
            learner = gpu_data.scene_learner(features, sizes, *words, f"seed={seed}")
            return _get_message(
                lambda: learner.fit(Path(folder) / f"{seed}", extra={}, on_epoch=lambda epoch, metrics: None)
            )

        def train_together() -> str:
            said: list[str] = []
            fused_trainings.run_together([lambda seed=seed: said.append(train(seed)) for seed in (1, 2)])  # type: ignore[misc]
            return said[0]

        parts: dict[str, Callable[[], str]] = {"a batch": lambda: train(0), "two jobs": train_together}
        for what, run in parts.items():
            with _little_memory(3 * 2**30):
                began = time.perf_counter()
                found[what] = run()
            record(Figure(f"memory: message for {what}", time.perf_counter() - began, "s", "smaller"))
            print(f"{what}: {found[what]}", flush=True)
    return found


def _get_message(run: Callable[[], Any]) -> str:
    from dcase_sweep.utils.errors import UserError

    try:
        run()
    except UserError as error:
        return str(error)
    return "no message: it has fitted"


@contextmanager
def _little_memory(size: int) -> Iterator[None]:
    """Context in which this process may allocate so many bytes of the GPU."""
    import torch

    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(size / torch.cuda.get_device_properties(0).total_memory)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


def time_signals(options: argparse.Namespace) -> dict[str, float]:
    """Seconds from SIGTERM to the end of a process that trains."""
    device: Device = options.device
    cases = {"epochs": (("hardware.compile=false",), "epoch 0", 0.0)}
    if device.is_gpu:
        cases["compilation"] = (("hardware.compile=true",), "begins", _COMPILING)
    else:
        print("a training that is being compiled is not interrupted: that takes a GPU")
    found: dict[str, float] = {}
    for name, (more, line, delay) in cases.items():
        words = (device.hardware, "training.epochs=2000", *more)
        found[name] = _end_training(words, line, delay)
        record(Figure(f"signals: end of a training after SIGTERM during {name}", found[name], "s", "smaller"))
        print(f"during {name}: it has ended {found[name]:.2f} s after SIGTERM", flush=True)
    return found


def _end_training(words: tuple[str, ...], line: str, delay: float) -> float:
    """Start a training, send SIGTERM some seconds after it has printed a line, and return when it has ended."""
    sizes = (640, 64)
    code = _TRAIN.format(clips=sum(sizes), sizes=sizes, words=", ".join(map(repr, words)))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for said in process.stdout:
            if said.strip() == line:
                break
        time.sleep(delay)
        began = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=_LONGEST)[0]
    finally:
        process.kill()
        process.wait()
    if "interrupted" not in rest:
        raise SystemExit(f"the training was not interrupted by SIGTERM: exit code {process.returncode}")
    return time.perf_counter() - began


def run_commands(options: argparse.Namespace) -> dict[str, Any]:
    """The commands of both tasks on recordings of the given folders; with --small on generated ones."""
    from tests.desed_layout import make_desed
    from tests.layout import make_tau

    roots: dict[str, tuple[str, Path | None]] = {"1a": ("tau2020", options.tau), "4": ("desed", options.desed)}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for task, (data, root) in roots.items():
            words: tuple[str, ...] = (f"training.epochs={options.epochs}",)
            if root is None and options.small:
                make = make_tau if task == "1a" else make_desed
                root, words = make(Path(folder) / data), _TINY[task]
            if root is None:
                print(f"task {task} on real recordings is not measured: no --{'tau' if task == '1a' else 'desed'}")
                continue
            command = ["-m", "dcase_sweep", f"task={task}", f"data={data}", f"data.root={root}", *words]
            epochs, seconds = _run_command([*command, options.device.hardware], Path(folder))
            found[task] = seconds / epochs
            record(Figure(f"recordings: an epoch of task {task}, the first included", found[task], "s", "smaller"))
            print(f"task {task}: {epochs} epochs in {seconds:.1f} s, the first included", flush=True)
    return found


def _run_command(words: list[str], folder: Path) -> tuple[int, float]:
    """Run a command in a folder, and return the epochs and seconds of its training."""
    root = str(Path(__file__).resolve().parents[2])
    variables = {"DCASE_SWEEP_CACHE": str(folder / "cache"), "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    trained = re.search(r"^training +(\d+) epochs? in ([\d.]+) s", done.stdout, re.MULTILINE)
    if done.returncode or trained is None:
        raise SystemExit(f"{' '.join(words)} failed with exit code {done.returncode}:\n{done.stdout[-2000:]}")
    return int(trained[1]), float(trained[2])
