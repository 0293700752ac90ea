"""The export of a run: data, conversions, measurements, tables, logging."""

import json
import logging
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep import __version__
from dcase_sweep.config import clip_seconds, plain
from dcase_sweep.data.scenes import SceneData
from dcase_sweep.export import onnx, tflite
from dcase_sweep.export.comparison import compare, evaluate_scores
from dcase_sweep.export.flatbuffer import StoredTensor, stored_tensors
from dcase_sweep.export.layers import LayerNoise, layer_noise
from dcase_sweep.export.network import ScoringNetwork, scoring_network
from dcase_sweep.export.report import Exported, describe_int8, export_table, layer_table, tensor_table, to_json
from dcase_sweep.export.runs import TrainedRun
from dcase_sweep.export.runtimes import LiteRTRuntime, OnnxRuntime, Runtime, TorchRuntime, latencies, one_thread
from dcase_sweep.tasks.features import compute_fingerprint, load_features
from dcase_sweep.tasks.notes import describe_note
from dcase_sweep.training.normalisation import network_frames
from dcase_sweep.utils import console
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import write_bytes, write_text
from dcase_sweep.utils.text_table import terminal_width, wrap

log = logging.getLogger(__name__)

#: Number of test clips whose tensors are compared layer by layer.
_LAYER_CLIPS = 50


@dataclass(frozen=True, slots=True)
class _Format:
    """The functions of a file format: conversion, runtime, tensors, the runtime's name, and metadata of its files."""

    kinds: tuple[str, ...]
    convert: Callable[..., bytes]
    runtime: Callable[[bytes], Any]
    tensors: Callable[[bytes], tuple[StoredTensor, ...]]
    runtime_name: str
    describe: Callable[[dict[str, Any]], dict[str, Any]]


def export(run: TrainedRun, what: str, *, calibration: int, folder: Path) -> None:
    """Convert a run into all kinds of a format, measure them, and print and write the results.

    Args:
        what: ``tflite`` or ``onnx``.
        calibration: number of training clips for the ranges of int8.
        folder: folder of the files, which are also logged to the run.

    Raises:
        UserError: for an error that the user can correct.
    """
    if what == "tflite":
        tflite.check_convertible(run)
    data, store = load_features(run.experiment)
    assert isinstance(data, SceneData)
    _warn_if_data_differ(run, compute_fingerprint(data, store))
    network = scoring_network(run, classes=len(data.classes))
    metadata = _metadata(run, data)
    features = network_frames(run.experiment, store.features)
    chosen = _format(run, what, data, features.shape[1:], metadata)
    clips = np.ascontiguousarray(features[_calibrating(data, calibration, run.experiment.seed)])
    files = _convert(chosen, what, clips)
    runtimes = {kind: chosen.runtime(content) for kind, content in files.items()}
    test = np.ascontiguousarray(features[data.test])
    exported = _measured(chosen, files, {"torch": TorchRuntime(network), **runtimes}, network, test, data)
    layers = _layers(files, test, run.experiment.seed) if what == "tflite" else ()
    note = describe_note(data)
    title = f"{run.model}, {what}, on {len(test)} test clips, {chosen.runtime_name} on one thread of {_processor()}" + (
        f" ({note})" if note else ""
    )

    def describe(width: int | None) -> str:
        parts = [export_table(exported, title=title, width=width)]
        if layers:
            parts += [layer_table(layers, width), wrap(describe_int8(exported[-1], layers), width)]
        return "\n\n".join(parts)

    log.info(f"\n{describe(terminal_width())}\n")
    signatures = {f"{kind}.{what}": runtime.signature for kind, runtime in runtimes.items()}
    facts = {"run": run.id, "test_clips": len(test), "calibration_clips": len(clips), "processor": _processor()}
    texts = {
        "table.txt": describe(None) + "\n",
        "tensors.csv": tensor_table(exported[1:]),
        "measured.json": json.dumps(to_json(exported, layers, **facts), indent=2) + "\n",
        "metadata.json": json.dumps({**chosen.describe(metadata), "files": signatures}, indent=2) + "\n",
    }
    _write(folder, {f"{kind}.{what}": content for kind, content in files.items()}, texts)
    _log(run, what, [folder / name for name in (*signatures, *texts)], exported)


def _warn_if_data_differ(run: TrainedRun, fingerprint: str) -> None:
    known = run.logged.parameters.get("data.fingerprint") if run.logged else None
    if known is not None and known != fingerprint:
        log.warning("data      not the data that the run was evaluated on: its metrics differ from those here")


def _calibrating(data: SceneData, count: int, seed: int) -> NDArray[np.int64]:
    """Choose training clips, without validation and test clips; the same for the same seed."""
    order = np.random.default_rng(seed).permutation(data.train)
    return np.sort(order[:count])


def _format(run: TrainedRun, what: str, data: SceneData, shape: Any, metadata: dict[str, Any]) -> _Format:
    classes = len(data.classes)
    if what == "tflite":
        lite = tflite.TFLiteConverter(run, classes=classes)
        return _Format(tflite.KINDS, lite.convert, LiteRTRuntime, stored_tensors, "LiteRT", onnx.describe_one)

    def build() -> ScoringNetwork:
        return scoring_network(run, classes=classes)

    converter = onnx.OnnxConverter(build, shape=tuple(shape), metadata=onnx.as_metadata(metadata))
    return _Format(onnx.KINDS, converter.convert, OnnxRuntime, onnx.onnx_tensors, "ONNX Runtime", converter.describe)


def _convert(chosen: _Format, what: str, clips: NDArray[np.float32]) -> dict[str, bytes]:
    files = {}
    with console.progress("convert", len(chosen.kinds) + len(clips)) as bar:
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            bar.update(done)

        for kind in chosen.kinds:
            bar.update(done, text=f"{kind}.{what}")
            try:
                files[kind] = chosen.convert(kind, clips, on_clip=step)
            except UserError as error:
                if not files:
                    raise
                log.warning(f"left out  {error}")
            step()
    return files


def _measured(
    chosen: _Format,
    files: dict[str, bytes],
    runtimes: dict[str, Runtime],
    network: ScoringNetwork,
    test: NDArray[np.float32],
    data: SceneData,
) -> list[Exported]:
    """Measure the float network, then every file."""
    truth = data.targets[data.test]
    with one_thread():
        scores = _scores(runtimes, test)
        milliseconds = dict(zip(runtimes, latencies(list(runtimes.values()), test[0]), strict=True))
    score_metrics = {
        kind: evaluate_scores(scores[kind], truth, classes=data.classes, step=runtime.step)
        for kind, runtime in runtimes.items()
    }
    exported = [Exported("torch", None, _float_tensors(network), score_metrics["torch"], milliseconds["torch"], None)]
    for kind, content in files.items():
        difference = compare(scores[kind], score_metrics[kind], scores["torch"], score_metrics["torch"])
        tensors = chosen.tensors(content)
        exported.append(Exported(kind, len(content), tensors, score_metrics[kind], milliseconds[kind], difference))
    return exported


def _scores(runtimes: dict[str, Runtime], test: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Compute probabilities ``[clip, class]`` with each runtime."""
    scores = {}
    with console.progress("test", len(runtimes) * len(test)) as bar:
        for position, (kind, runtime) in enumerate(runtimes.items()):
            rows = []
            for place, clip in enumerate(test):
                rows.append(runtime(clip))
                bar.update(position * len(test) + place + 1, text=kind)
            scores[kind] = np.stack(rows)
    return scores


def _float_tensors(network: ScoringNetwork) -> tuple[StoredTensor, ...]:
    arrays = {name: value.numpy() for name, value in network.state_dict().items() if value.is_floating_point()}
    return tuple(
        StoredTensor(name, array.dtype.name, array.shape, array.size, int((array == 0).sum()), array.itemsize)
        for name, array in arrays.items()
    )


def _layers(files: dict[str, bytes], test: NDArray[np.float32], seed: int) -> tuple[LayerNoise, ...]:
    chosen = np.sort(np.random.default_rng(seed).permutation(len(test))[:_LAYER_CLIPS])
    with console.progress("layers", len(chosen)) as bar:
        done = iter(range(1, len(chosen) + 1))
        return layer_noise(files["float32"], files["int8"], test[chosen], on_clip=lambda: bar.update(next(done)))


def _metadata(run: TrainedRun, data: SceneData) -> dict[str, Any]:
    """Describe the input and output of the files."""
    front_end = {name: value for name, value in plain(run.experiment.front_end).items() if name != "store"}
    front_end |= {"sample_rate": run.experiment.task.sample_rate, "seconds": clip_seconds(run.experiment)}
    return {
        "made_by": f"dcase_sweep {__version__}",
        "run": run.id,
        "model": run.model,
        "task": run.experiment.task.title,
        "classes": list(data.classes),
        "note": describe_note(data) or "",
        "input": f"{_describe_features(front_end)} [batch, mel, frame, 1], as the front end computes them; the file "
        "itself normalises them",
        "output": "probabilities [batch, class], in the order of classes",
        "front_end": front_end,
    }


def _describe_features(front_end: dict[str, Any]) -> str:
    if front_end["_target_"] == "dcase_sweep.audio.log_mel.LogMel":
        return (
            "natural logarithms of mel magnitude plus floor (frames centred at multiples of hop_seconds from 0 on, "
            "periodic Hamming window, magnitude spectrum, mel filters on Slaney's scale with area norm; channels "
            "averaged, full scale at 1)"
        )
    return f"features of {front_end['_target_']}"


def _processor() -> str:
    """Return the name of the processor, if the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _write(folder: Path, files: dict[str, bytes], texts: dict[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_bytes(folder / name, content)
        for name, text in texts.items():
            write_text(folder / name, text)
    except OSError as error:
        raise UserError(f"folder={folder}: cannot be written ({error.strerror}); choose another with folder=") from None
    console.field("files", str(folder))


def _log(run: TrainedRun, what: str, files: Iterable[Path], exported: Iterable[Exported]) -> None:
    if run.logged is None:
        log.warning(f"run       {run.id} is not in the store of runs: the files are in the folder only")
        return
    logged = run.logged.reopen()
    for path in files:  # the folder may have others, which are not of this export
        logged.log_file(path, f"export/{what}")
    logged.log_metrics(
        {f"export/{what}/{each.kind}/{name}": value for each in exported for name, value in each.metrics.items()}
    )
    logged.flush()
    console.field("run", f"{logged.name} · {logged.id} · export/{what}")
    console.field("open", logged.store.command)
