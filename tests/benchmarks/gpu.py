"""Everything that is measured on a GPU: `python -m tests.benchmarks gpu`.

  limits    the card's own rates: a bfloat16 matrix product of 8192³, and a copy within its memory
  losses    50 steps as graphs and without, from the same weights: the largest difference of the losses of a step
  scenes    `baseline_cnn` on random features of TAU's size, by the recipe (batches of 16): seconds an epoch without
            graphs, with them and compiled, and of a plain loop (a DataLoader, autocast, Adam, `loss.item()`)
  events    the mean teacher on random features of DESED's size: likewise, beside the published network and loop
  variants  its step as it is, with any algorithm, with the teacher on a stream of its own beside the student, with
            fewer passes over its maps, and with gated blocks and GRUs by kernels of our own (kernels/)
  waveforms the mean teacher with features that are computed in each step (`front_end.store=false`), without and with
            augmentations of waveforms, beside stored features: the share of both in a step
  fused     seeds of both tasks together, compared with one after another and with as many processes under MPS
  energy    the energy of the machine for 200 epochs of both tasks, by CodeCarbon
  memory    the message for a batch that does not fit, and for jobs that do not fit together
  signals   the seconds from SIGTERM to the end of a training that is being compiled, and of one that computes epochs
  recordings  both tasks by their commands on real recordings (`--tau FOLDER`, `--desed FOLDER`)
  batch256  `baseline_cnn` in batches of 256, compiled, three trainings in one process

Without a name all but the last are measured. `--small` takes few clips, to see that everything runs: also without a
GPU, except what only a GPU has. `--json FILE` writes all figures; `--desed-task FOLDER` takes the published network
from a checkout of DESED_task.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from tests.benchmarks import fused, gpu_data, gpu_whole
from tests.benchmarks.figures import Figure, record
from tests.benchmarks.gpu_device import Device
from tests.benchmarks.gpu_variants import compare_variants
from tests.benchmarks.measure import print_table

#: What is compared, and how each is configured.
MODES = {
    "eager": ("hardware.graphs=false", "hardware.compile=false"),
    "graph": ("hardware.graphs=true", "hardware.compile=false"),
    "compile": ("hardware.graphs=false", "hardware.compile=true"),
    "compile and graph": ("hardware.graphs=true", "hardware.compile=true"),
}
WANTED = (
    *("limits", "losses", "scenes", "events", "variants", "waveforms"),
    *("fused", "energy", "memory", "signals", "recordings"),
)


@dataclass
class Epochs:
    """Of a training: seconds of each epoch and its validation; joules by the card's counter, of all but the first."""

    seconds: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    steps: int = 0
    joules: float = 0.0
    memory: int = 0
    graphs: int = 0

    def medians(self) -> tuple[float, float]:
        """Seconds of an epoch and of its validation, the first epoch left out."""
        whole, validation = (statistics.median(values[1:] or values) for values in (self.seconds, self.validation))
        return whole, validation

    def record(self, name: str, aim: float) -> None:
        whole, validation = self.medians()
        record(Figure(f"{name}: 200 epochs", whole * 200 / 60, "min", "smaller", aim))
        record(Figure(f"{name}: validation's share of an epoch", 100 * validation / whole, "%", "smaller"))

    def row(self, name: str) -> tuple[str, ...]:
        whole, validation = self.medians()
        per_epoch = self.joules / max(len(self.seconds) - 1, 1)
        return (
            name,
            f"{self.seconds[0]:.1f}",
            f"{whole:.2f}",
            f"{validation:.2f}",
            f"{1000 * (whole - validation) / self.steps:.2f}",
            f"{whole * 200 / 60:.1f}",
            f"{per_epoch * 200 / 3.6e6:.3f}",
            f"{self.memory / 2**30:.1f}",
        )


HEADER = ("", "first s", "epoch s", "of it validation", "ms a step", "200 epochs, min", "kWh of the card", "GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[*WANTED, "batch256", []], help="default: all but batch256")
    parser.add_argument("--small", action="store_true", help="few clips")
    parser.add_argument("--epochs", type=int, help="of each training, the first not counted (default: 4, on a CPU 2)")
    parser.add_argument("--modes", nargs="*", choices=list(MODES), help="(default: all; on a CPU eager and graph)")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    parser.add_argument("--desed-task", type=Path, help="a checkout of DESED_task")
    parser.add_argument("--tau", type=Path, help="recordings in TAU 2020 Mobile's layout")
    parser.add_argument("--desed", type=Path, help="recordings in DESED's layout")
    options = parser.parse_args()
    import torch

    device = options.device = Device.find()
    if not device.is_gpu and not options.small:
        raise SystemExit("tests.benchmarks.gpu: PyTorch finds no GPU on this machine; only --small runs without one")
    if options.modes is None:
        options.modes = list(MODES) if device.is_gpu else ["eager", "graph"]
    options.epochs = options.epochs or (4 if device.is_gpu else 2)
    card = device.describe()
    print(f"{card}, PyTorch {torch.__version__}, {date.today()}", flush=True)
    figures: dict[str, Any] = {"card": card, "torch": torch.__version__, "date": str(date.today())}
    parts: dict[str, Callable[[argparse.Namespace], Any]] = {
        "limits": measure_limits,
        "losses": compare_losses,
        "scenes": measure_scenes,
        "events": measure_events,
        "variants": compare_variants,
        "waveforms": measure_waveforms,
        "fused": measure_fused,
        "energy": gpu_whole.measure_energy,
        "memory": gpu_whole.show_messages,
        "signals": gpu_whole.time_signals,
        "recordings": gpu_whole.run_commands,
        "batch256": measure_compiled_batches,
    }
    for name in options.what or WANTED:
        print(f"\n{name}", flush=True)
        began = time.perf_counter()
        figures[name] = parts[name](options)
        print(f"{name} took {time.perf_counter() - began:.0f} s", flush=True)
        if options.json:
            options.json.write_text(json.dumps(figures, indent=1, default=asdict))


def measure_limits(options: argparse.Namespace) -> dict[str, float]:
    """FLOP/s of a bfloat16 matrix product, and bytes a second of a copy, those read and those written."""
    import torch

    device = options.device
    size, values = (8192, 2**30) if device.is_gpu else (512, 2**20)
    left, right = (torch.randn(size, size, device=device.name, dtype=torch.bfloat16) for _ in range(2))
    source = torch.randn(values, device=device.name)
    target = torch.empty_like(source)
    rates = {
        "flops": 2 * size**3 / device.seconds_of(lambda: left @ right),
        "bytes": 2 * source.nbytes / device.seconds_of(lambda: target.copy_(source)),
    }
    print(f"bfloat16 {rates['flops'] / 1e12:.3g} TFLOP/s, memory {rates['bytes'] / 1e12:.3g} TB/s")
    return rates


def compare_losses(options: argparse.Namespace, steps: int = 50) -> dict[str, Any]:
    """The losses of each step as graphs and without; dropout draws the same, so only rounding differs."""
    found: dict[str, Any] = {}
    steps = steps if options.device.is_gpu else 2
    for task in ("scenes", "events"):
        losses = {mode: _losses(task, steps, mode, options.device) for mode in ("eager", "graph")}
        pairs = list(zip(losses["eager"], losses["graph"], strict=True))
        largest = max(abs(a - b) / max(abs(a), 1e-9) for a, b in pairs)
        record(Figure(f"{task}: difference of a graph's losses", largest, "of the loss", "smaller", 1e-4))
        found[task] = losses | {"largest": largest}
        first, last = pairs[0], pairs[-1]
        print(
            f"{task}: {len(pairs)} steps, largest relative difference {largest:.1e}; first {first[0]:.5f} and "
            f"{first[1]:.5f}, last {last[0]:.5f} and {last[1]:.5f}",
            flush=True,
        )
    return found


def _losses(task: str, steps: int, mode: str, device: Device) -> list[float]:
    import torch

    # Float32 throughout: two ways to round to bfloat16 would hide what differs.
    overrides = (*choose(device, mode), "hardware.precision=32-true", "hardware.deterministic=true")
    overrides += ("training.epochs=1",)
    if task == "scenes":
        features = gpu_data.random_features((16 * steps + 5 + 16, 40, 500), device.name)
        learner: Any = gpu_data.scene_learner(features, (16 * steps + 5, 16), *overrides)
    else:
        features = abs(gpu_data.random_features((gpu_data.event_sizes(steps, (8, 8)), 128, 626), device.name))
        learner = gpu_data.event_learner(features, steps, (8, 8), *overrides)
    losses: list[torch.Tensor] = []
    step = learner.module.training_step

    def noted(*arguments: Any) -> torch.Tensor:
        loss: torch.Tensor = step(*arguments)
        losses.append(loss.detach().clone())
        return loss

    learner.module.training_step = noted
    fit(learner, device, mode)
    return torch.stack(losses).tolist()


def choose(device: Device, mode: str) -> tuple[str, ...]:
    """Words of a command for a device and one of `MODES`; on a CPU those of the device alone, see `fit`."""
    return (device.hardware, *MODES[mode]) if device.is_gpu else (device.hardware,)


def fit(learner: Any, device: Device, mode: str = "eager") -> Epochs:
    """Train; what each epoch took. On a CPU a step is taken as one that is recorded, but is not."""
    if not device.is_gpu:
        learner.experiment.hardware.graphs = "graph" in mode
    found, module = Epochs(), learner.module
    device.synchronize()
    device.forget_peak()
    began = time.perf_counter()
    began_validation = 0.0
    joules = 0.0
    counter = _energy_counter()
    evaluate, start = module.on_validation_epoch_end, module.on_validation_epoch_start
    forget = module.forget_graph

    def validation_begins() -> None:
        nonlocal began_validation
        device.synchronize()
        began_validation = time.perf_counter()
        start()

    def validation_ends() -> None:
        evaluate()
        device.synchronize()
        found.validation.append(time.perf_counter() - began_validation)

    def epoch_ends(epoch: int, metrics: dict[str, float]) -> None:
        nonlocal began, joules
        now = time.perf_counter()
        found.seconds.append(now - began)
        if epoch == 0:
            joules = counter()
        found.joules, began = counter() - joules, now

    def forgotten() -> None:
        found.graphs = module.step_graph.recordings if module.step_graph is not None else 0
        forget()

    module.on_validation_epoch_start, module.on_validation_epoch_end = validation_begins, validation_ends
    module.forget_graph = forgotten
    with tempfile.TemporaryDirectory() as folder:
        learner.fit(Path(folder), extra={}, on_epoch=epoch_ends)
    found.memory = device.read_peak()
    return found


def _energy_counter() -> Callable[[], float]:
    """Reads the joules that the card has used since its driver was loaded; 0 where it does not say."""
    try:
        import pynvml

        pynvml.nvmlInit()
        card = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(card)
    except Exception:  # each driver fails in a way of its own
        return lambda: 0.0
    return lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(card)) / 1000


def measure_scenes(options: argparse.Namespace) -> dict[str, Any]:
    from tests.benchmarks.gpu_peers import plain_scene_epoch
    from tests.benchmarks.gpu_step import describe_step

    sizes = (330, 100) if options.small else gpu_data.SCENES
    features = gpu_data.random_features((sum(sizes), 40, 501), options.device.name)
    found: dict[str, Any] = {}
    rows = [HEADER]
    for mode in options.modes:
        overrides = (*choose(options.device, mode), f"training.epochs={options.epochs}")
        learner = gpu_data.scene_learner(features, sizes, *overrides)
        found[mode] = epochs = fit(learner, options.device, mode)
        epochs.steps = -(-sizes[0] // 16)
        epochs.record(f"scenes, {mode}", 5.0)
        rows.append(epochs.row(mode))
        print("  ".join(rows[-1]), flush=True)
    found["plain loop"] = plain_scene_epoch(features[:, :, :500], sizes, options.device.name)
    if "graph" in found:
        record(Figure("scenes: graph beside a plain loop", found["plain loop"] / found["graph"].medians()[0], "×"))
    print_table(rows)
    print(f"plain loop: {found['plain loop']:.2f} s an epoch, validation included", flush=True)
    found["step"] = describe_step(
        gpu_data.scene_learner(features, (64, 16), options.device.hardware, "training.epochs=1"), options.device
    )
    return found


def measure_events(options: argparse.Namespace) -> dict[str, Any]:
    from tests.benchmarks.gpu_peers import published_event_step
    from tests.benchmarks.gpu_step import describe_step

    batches, validated = event_sizes(options)
    features = abs(gpu_data.random_features((gpu_data.event_sizes(batches, validated), 128, 626), options.device.name))
    found: dict[str, Any] = {}
    rows = [HEADER]
    for mode in options.modes:
        overrides = (*choose(options.device, mode), f"training.epochs={options.epochs}")
        learner = gpu_data.event_learner(features, batches, validated, *overrides)
        found[mode] = epochs = fit(learner, options.device, mode)
        epochs.steps = batches
        epochs.record(f"events, {mode}", 8.0)
        rows.append(epochs.row(mode))
        print("  ".join(rows[-1]), flush=True)
    found["published step"] = published_event_step(options.desed_task, options.device)
    if "graph" in found:
        whole, validation = found["graph"].medians()
        step = (whole - validation) / batches
        record(Figure("events: a step beside the published loop", found["published step"] / step, "×", aim=4.0))
    print_table(rows)
    print(f"published network and loop, float32: {1000 * found['published step']:.1f} ms a step", flush=True)
    few = gpu_data.event_sizes(2, (8, 8))
    learner = gpu_data.event_learner(features[:few], 2, (8, 8), options.device.hardware, "training.epochs=1")
    found["step"] = describe_step(learner, options.device)
    return found


def measure_waveforms(options: argparse.Namespace) -> dict[str, Any]:
    """Epochs of the mean teacher on stored features, and on features of waveforms that are on the card."""
    batches, validated = event_sizes(options)
    clips = gpu_data.event_sizes(batches, validated)
    features = abs(gpu_data.random_features((clips, 128, 626), options.device.name))
    waveforms = gpu_data.random_waveforms(batches * sum(gpu_data.EVENT_BATCH), 160_000, clips)
    sides = {
        "stored features": (),
        "front end": ("front_end.store=false",),
        "front end and augmentations": (
            "front_end.store=false",
            "augmentation=[speed,device_response,gain,event_mixup]",
        ),
    }
    found: dict[str, Any] = {}
    rows = [HEADER]
    for name, more in sides.items():
        overrides = (*choose(options.device, "graph"), f"training.epochs={options.epochs}", *more)
        given = waveforms if more else None
        learner = gpu_data.event_learner(features, batches, validated, *overrides, waveforms=given)
        found[name] = epochs = fit(learner, options.device, "graph")
        epochs.steps = batches
        rows.append(epochs.row(name))
        print("  ".join(rows[-1]), flush=True)
    print_table(rows)
    steps = {name: whole - validation for name, (whole, validation) in ((n, e.medians()) for n, e in found.items())}
    for name in [*sides][1:]:
        share = 100 * (1 - steps["stored features"] / steps[name])
        record(Figure(f"waveforms: share of {name} in a step", share, "%", "smaller"))
    return found


def event_sizes(options: argparse.Namespace) -> tuple[int, tuple[int, int]]:
    """Batches of an epoch of task 4, and clips that are validated."""
    if not options.small:
        return gpu_data.EVENT_BATCHES, gpu_data.EVENT_VALIDATION
    return (8, (40, 20)) if options.device.is_gpu else (2, (8, 8))


def measure_fused(options: argparse.Namespace) -> dict[str, Any]:
    """Seeds of both tasks together, compared with one after another and with processes of their own."""
    return {
        task: fused.measure(task, options.device.name, small=options.small, epochs=min(options.epochs, 3))
        for task in ("1a", "4")
    }


def measure_compiled_batches(options: argparse.Namespace) -> dict[str, Any]:
    """Three trainings in one process, as a sweep has them; each one compiles for itself."""
    sizes = (1000, 100) if options.small else gpu_data.SCENES
    features = gpu_data.random_features((sum(sizes), 40, 501), options.device.name)
    found: dict[str, Any] = {}
    for batch in (16, 64, 256):
        overrides = (*choose(options.device, "compile"), "training.epochs=2", f"training.batch_size={batch}")
        found[str(batch)] = epochs = fit(gpu_data.scene_learner(features, sizes, *overrides), options.device)
        print(f"batch {batch}: first epoch {epochs.seconds[0]:.1f} s, second {epochs.seconds[1]:.1f} s", flush=True)
    return found


if __name__ == "__main__":
    main()
