"""The file with the detections and reference events of a run, for the evaluation of several runs together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.detections import Detections
from dcase_sweep.evaluation.events.evaluation import EventEvaluation
from dcase_sweep.evaluation.events.ground_truth import GroundTruth
from dcase_sweep.utils.errors import UserError

#: Name of the file.
DETECTIONS = "detections.npz"
#: Largest size of the content in memory, in bytes.
_LARGEST = 2**30
_EVENTS = ("clip", "label", "onset", "offset")
_DETECTED = (*_EVENTS, "first", "last")


@dataclass(frozen=True, slots=True, eq=False)
class NetworkDetections:
    """The detections of one network.

    `detections` are those at the thresholds of PSDS, `decisions` those at the threshold of F1. `loss_strong` is the
    binary cross-entropy of the frames.
    """

    detections: Detections
    decisions: Detections
    loss_strong: float


@dataclass(frozen=True, slots=True, eq=False)
class StoredDetections:
    """The detections and reference events of the test clips of a run. `listed` includes missing clips."""

    truth: GroundTruth
    listed: int
    networks: dict[str, NetworkDetections]


def collect_detections(evaluations: Mapping[str, EventEvaluation], losses: Mapping[str, float]) -> StoredDetections:
    """Collect the detections to store from evaluations of the same clips.

    Args:
        evaluations: name of the network → its evaluation.
        losses: name of the network → binary cross-entropy of the frames.
    """
    first = next(iter(evaluations.values()))
    networks = {
        name: NetworkDetections(each.detections, each.decisions, losses[name]) for name, each in evaluations.items()
    }
    return StoredDetections(first.truth, first.coverage.total, networks)


def concatenate_runs(several: Sequence[StoredDetections]) -> StoredDetections:
    """Concatenate the clips of several runs with the same classes and networks."""
    first = several[0]
    truth = GroundTruth(
        tuple(clip for each in several for clip in each.truth.clips),
        np.concatenate([each.truth.durations for each in several]),
        first.truth.labels,
        **_concatenate([each.truth for each in several], _EVENTS),
    )
    clips = [len(each.truth.clips) for each in several]
    networks = {}
    for name in first.networks:
        of_network = [each.networks[name] for each in several]
        networks[name] = NetworkDetections(
            _pool_detections([each.detections for each in of_network], truth.clips),
            _pool_detections([each.decisions for each in of_network], truth.clips),
            float(np.average([each.loss_strong for each in of_network], weights=clips)),
        )
    return StoredDetections(truth, sum(each.listed for each in several), networks)


def _pool_detections(several: Sequence[Detections], clips: tuple[str, ...]) -> Detections:
    first = several[0]
    return Detections(clips, first.labels, first.thresholds, **_concatenate(several, _DETECTED))


def _concatenate(several: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    """Concatenate the arrays of these names; indices of clips continue."""
    before = np.cumsum([0, *(len(each.clips) for each in several)])
    joined = {name: np.concatenate([getattr(each, name) for each in several]) for name in names}
    joined["clip"] = np.concatenate([each.clip + start for each, start in zip(several, before, strict=False)])
    return joined


def write_detections(kept: StoredDetections, path: Path) -> None:
    """Write a compressed file (``.npz``)."""
    truth = kept.truth
    arrays: dict[str, Any] = {"clips": truth.clips, "labels": truth.labels, "durations": truth.durations}
    arrays |= {f"truth.{name}": getattr(truth, name) for name in _EVENTS}
    arrays |= {"listed": kept.listed, "networks": list(kept.networks)}
    for name, network in kept.networks.items():
        arrays[f"{name}.loss_strong"] = network.loss_strong
        for kind in ("detections", "decisions"):
            found = getattr(network, kind)
            arrays |= {f"{name}.{kind}.{each}": getattr(found, each) for each in ("thresholds", *_DETECTED)}
    np.savez_compressed(path, **arrays)


def read_detections(path: Path) -> StoredDetections:
    """Read a file, which is not trusted.

    Raises:
        UserError: for a missing file, or one with other content.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if sum(entry.file_size for entry in file.zip.infolist()) > _LARGEST:
                raise UserError(f"{path}: more than {_LARGEST // 2**20:,} MiB; expected the detections of a run")
            return _parse({name: file[name] for name in file.files})
    except (OSError, ValueError, KeyError, IndexError, EOFError, TypeError) as error:
        reason = str(error) if isinstance(error, ValueError) else type(error).__name__
        raise UserError(f"{path}: {reason[:200]}; expected the detections of a run") from None


def _parse(arrays: Mapping[str, NDArray[Any]]) -> StoredDetections:
    clips, labels, names = (tuple(map(str, _check(arrays, name, "U"))) for name in ("clips", "labels", "networks"))
    truth = GroundTruth(
        clips, _check(arrays, "durations", "f", len(clips)), labels, **_read_events(arrays, "truth", clips, labels)
    )
    networks = {}
    for name in names:
        kinds: dict[str, Detections] = {}
        for kind in ("detections", "decisions"):
            prefix = f"{name}.{kind}"
            thresholds = _check(arrays, f"{prefix}.thresholds", "f")
            found = _read_events(arrays, prefix, clips, labels)
            first, last = (_check(arrays, f"{prefix}.{each}", "i", len(found["clip"])) for each in ("first", "last"))
            if ((first < 0) | (first >= last) | (last > len(thresholds))).any():
                raise ValueError(f"{prefix}: an event at no threshold")
            kinds[kind] = Detections(clips, labels, thresholds, **found, first=first, last=last)
        networks[name] = NetworkDetections(**kinds, loss_strong=float(arrays[f"{name}.loss_strong"]))
    listed = int(arrays["listed"])
    if not networks or listed < len(clips):
        raise ValueError(f"{len(networks)} networks, {listed} of {len(clips)} clips")
    return StoredDetections(truth, listed, networks)


def _read_events(
    arrays: Mapping[str, NDArray[Any]], prefix: str, clips: Sequence[str], labels: Sequence[str]
) -> dict[str, Any]:
    clip = _check(arrays, f"{prefix}.clip", "i")
    found = {"clip": clip, "label": _check(arrays, f"{prefix}.label", "i", len(clip))}
    found |= {name: _check(arrays, f"{prefix}.{name}", "f", len(clip)) for name in ("onset", "offset")}
    for name, known in (("clip", clips), ("label", labels)):
        if ((found[name] < 0) | (found[name] >= len(known))).any():
            raise ValueError(f"{prefix}.{name}: beyond the {len(known)} there are")
    if (np.diff(clip) < 0).any() or (found["onset"] >= found["offset"]).any():
        raise ValueError(f"{prefix}: events out of order")
    return found


def _check(arrays: Mapping[str, NDArray[Any]], name: str, kind: str, length: int | None = None) -> NDArray[Any]:
    """Return an array ``[entry]`` of this kind of numbers or of text, after a check of its values and its length."""
    found = arrays[name]
    if found.ndim != 1 or found.dtype.kind != kind or (length is not None and len(found) != length):
        raise ValueError(f"{name} is {found.dtype} {list(found.shape)}")
    if kind == "f" and not np.isfinite(found).all():
        raise ValueError(f"{name} is not finite")
    return found.astype(np.intp) if kind == "i" else found
