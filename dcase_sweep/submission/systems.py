"""The systems of a submission: network, complexity, results and energy of a run."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dcase_sweep import tracking
from dcase_sweep.complexity.networks import network_complexity
from dcase_sweep.complexity.rules import Complexity
from dcase_sweep.config import Experiment, Tracking, flatten, locate_task
from dcase_sweep.config.classes import Named
from dcase_sweep.evaluation.result import METRICS_FILE, read_metrics
from dcase_sweep.inference.loading import load_model
from dcase_sweep.inference.trained import TrainedModel
from dcase_sweep.training.checkpoints import FOLDER
from dcase_sweep.training.trained import Member
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.precision import Bits

#: Metric with the size of the non-zero parameters in an exported file.
NONZERO_KIB = "export/nonzero_kib"
#: Keys in which the trainings of one system may differ.
_OF_A_TRAINING = ("seed", "tracking.", "hardware.", "store.", "logger.", "resume", "data.root", "data.workers")


@dataclass(frozen=True, slots=True, eq=False)
class TrainedSystem:
    """A submitted run.

    Attributes:
        given: the name of the run on the command line.
        model: the network.
        kind: ``scenes`` or ``events``.
        metrics: metrics of the run by their names, including those of single classes; empty if the run is not known.
        complexity: complexity of the network with its weights; None for an exported file.
        bits: bits of a parameter in the predictions; None for an exported file.
        identity: hash of everything that the predictions depend on.
        member: the network of a mean teacher.
    """

    given: str
    model: TrainedModel = field(repr=False)
    kind: str
    metrics: Mapping[str, float] = field(repr=False)
    complexity: Complexity | None = field(repr=False)
    bits: Bits | None
    identity: str
    member: Member = "student"

    @property
    def settings(self) -> Experiment | None:
        """The configuration of the training."""
        return self.model.settings

    @property
    def size_bytes(self) -> int | None:
        """Size of the non-zero parameters in bytes, with batch normalisation at 32 bit; None if not known."""
        if self.complexity is None or self.bits is None:
            return None
        return self.complexity.size_bytes(self.bits, nonzero_only=True)


def open_system(
    given: str,
    *,
    store: Tracking,
    named: Named | None = None,
    bits: Bits | None = None,
    member: Member | None = None,
) -> TrainedSystem:
    """Open a trained system, with its parameters rounded to ``bits``.

    Batch normalisation stays at 32 bit, as in the rules.

    Args:
        given: name of the run, as in `inference.loading.load_model`.
        store: the store of the runs.
        named: the user's own classes, by their keys.
        bits: 32 or 16; None = 16 for scenes, whose size is limited, and 32 for events.
        member: the network of a mean teacher; None = the student, or the network of another system.

    Raises:
        UserError: for a missing run, a run of another task, and bits or a member that it does not have.
    """
    model = load_model(given, store=store, named=named, member=member or "student")
    kind = "scenes" if model.settings is None else locate_task(model.settings.task._target_).kind
    if kind not in ("scenes", "events"):
        raise UserError(f"run={given}: of task {model.name}; expected a run of task 1a or task 4")
    if member is not None and kind != "events":
        raise UserError(f"--network {member}: {given} has one network; leave it out")
    if model.settings is None and bits is not None:
        raise UserError(f"--bits {bits}: {given} is an exported file, which has its own; leave it out")
    complexity = None
    if model.trained is not None and model.settings is not None:
        bits = bits or (16 if kind == "scenes" else 32)
        if bits == 16:
            _round_to_half(model)
        complexity = network_complexity(model.trained, model.settings)
    else:
        bits = None
    metrics = _find_metrics(given, model, store)
    return TrainedSystem(given, model, kind, metrics, complexity, bits, _identify(given, model), member or "student")


def group_trainings(systems: Sequence[TrainedSystem]) -> list[list[TrainedSystem]]:
    """Group the runs that differ only in their seed, in the order of the first run of each group."""
    groups: dict[str, list[TrainedSystem]] = {}
    for number, system in enumerate(systems):
        key = f"exported {number}"
        if system.settings is not None:
            values = {
                name: value for name, value in flatten(system.settings).items() if not name.startswith(_OF_A_TRAINING)
            }
            key = json.dumps(values, sort_keys=True, default=str)
        groups.setdefault(key, []).append(system)
    return list(groups.values())


def _round_to_half(model: TrainedModel) -> None:
    """Round parameters to float16 in place; computations remain in float32."""
    import torch
    from torch import nn

    assert model.trained is not None
    with torch.no_grad():
        for module in model.trained.modules():
            if not isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
                for parameter in module.parameters(recurse=False):
                    parameter.copy_(parameter.half().to(parameter.dtype))


def _find_metrics(given: str, model: TrainedModel, store: Tracking) -> dict[str, float]:
    """Return all metrics of a run: from its folder or its artifacts, and from the store."""
    path = Path(given).expanduser()
    folder = path if path.is_dir() else path.parent
    folder = folder.parent if folder.name == FOLDER else folder
    if path.exists() and (folder / METRICS_FILE).is_file():
        return read_metrics(folder / METRICS_FILE) | model.metrics
    logged = tracking.find_run(store, model.run_id) if model.run_id else None
    if logged is None:
        return dict(model.metrics)
    if model.settings is None:
        return _of_exported_file(logged.metrics, path)
    return logged.read_metrics() | model.metrics


def _of_exported_file(logged: Mapping[str, float], path: Path) -> dict[str, float]:
    """Return the metrics that the export measured, by the names of a run's metrics, and the counts of the network."""
    counts = ("complexity/parameters", "complexity/nonzero_parameters", "complexity/mmac_per_clip")
    found = {name: logged[name] for name in counts if name in logged}
    of_file = f"export/{path.suffix.lower().removeprefix('.')}/{path.stem}/"
    for name, own in (("accuracy", "test/accuracy"), ("log_loss", "test/log_loss"), ("nonzero_kib", NONZERO_KIB)):
        if of_file + name in logged:
            found[own] = logged[of_file + name]
    return found


def _identify(given: str, model: TrainedModel) -> str:
    digest = hashlib.sha256(repr(model.classes).encode())
    if model.settings is None:
        path = Path(given).expanduser()
        for each in (path, path.with_name("metadata.json")):
            digest.update(each.read_bytes() if each.is_file() else b"")
        return digest.hexdigest()[:32]
    kept = {name: value for name, value in flatten(model.settings).items() if not name.startswith(_OF_A_TRAINING)}
    digest.update(json.dumps(kept, sort_keys=True, default=str).encode())
    for name, value in model.network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:32]
