"""Loading of a trained network from a run, a folder, a file or a registered model."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dcase_sweep import tracking
from dcase_sweep.config import Tracking, build_front_end, build_task
from dcase_sweep.config.classes import Named, names_code
from dcase_sweep.config.renamed import rename_keys
from dcase_sweep.export.runs import RunFiles, read_run
from dcase_sweep.inference.trained import TrainedModel
from dcase_sweep.training.checkpoint_files import read_checkpoint
from dcase_sweep.training.checkpoints import BEST
from dcase_sweep.training.trained import Member, restore_network
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

#: URIs of models in MLflow.
_MODEL_URI = re.compile(r"(models|runs):/")
_EXPORTED = (".tflite", ".onnx")


def load_model(
    run: str | Path,
    *,
    store: Tracking,
    classes: Sequence[str] | None = None,
    named: Named | None = None,
    search_store: bool = True,
    member: Member = "student",
) -> TrainedModel:
    """Load a trained network.

    Args:
        run: ID of a run in MLflow, folder of a run, a checkpoint, an exported file, or a model in MLflow
            (``models:/name/version``).
        store: location of the runs.
        classes: class labels in the order of the outputs, for checkpoints of versions that did not store them.
        named: the user's own classes by key, such as ``model._target_``.
        search_store: whether to look up the metrics of the run of a folder or checkpoint.
        member: which network of a mean teacher.

    Raises:
        UserError: if the network does not exist or cannot be used.
    """
    given = str(run)
    if given.lower().endswith(_EXPORTED):
        from dcase_sweep.inference.exported import load_exported

        return load_exported(Path(given).expanduser(), classes=classes, named=named)
    if _MODEL_URI.match(given):
        return _restore(_fetch_model(given, store), classes, named, member)
    return _restore(read_run(given, store, search_store=search_store), classes, named, member)


def load_trusted_checkpoint(path: Path) -> TrainedModel:
    """Load a checkpoint that may name any class: one written by this process, or one in a model that MLflow loaded.

    Raises:
        UserError: for a file that is not a checkpoint.
    """
    checkpoint = read_checkpoint(path, where=str(path), expected=BEST)
    configuration = rename_keys(checkpoint.configuration, quiet=True)
    named = {key: str(target) for key, target in configuration.items() if names_code(key)}
    return _restore(RunFiles(str(path), checkpoint, None, None), None, named)


def _fetch_model(uri: str, store: Tracking) -> RunFiles:
    """Return the checkpoint in an MLflow model. No other file of the model is read, and no code is imported."""
    where = f"run={printable(uri)}"
    with tempfile.TemporaryDirectory() as temporary:
        folder = tracking.fetch_model(store, uri, Path(temporary))
        found = sorted(folder.glob(f"data/{BEST}"))
        if not found:
            raise UserError(f"{where}: contains no data/{BEST}; expected a model logged by a run of this program")
        return RunFiles(where, read_checkpoint(found[0], where=where, expected="a model of a run"), None, None)


def _restore(
    found: RunFiles, classes: Sequence[str] | None, named: Named | None, member: Member = "student"
) -> TrainedModel:
    trained = restore_network(found.checkpoint, where=found.where, named=named, member=member)
    names = tuple(classes) if classes is not None else found.checkpoint.classes
    if names is None:
        raise UserError(
            f"{found.where}: does not name its {trained.classes} classes; expected classes=[...] in their order"
        )
    if len(names) != trained.classes:
        raise UserError(
            f"{found.where}: {len(names)} names of classes; expected {trained.classes}, one for each output of its "
            "network"
        )
    predictor = build_task(trained.experiment).make_predictor(
        trained.experiment, trained.network, trained.state, names, where=found.where
    )
    return TrainedModel(
        run_id=found.logged.id if found.logged else found.checkpoint.run_id,
        name=found.checkpoint.choices.get("model", "model"),
        classes=names,
        metrics=dict(found.logged.metrics) if found.logged else {},
        network=predictor.network,
        front_end=build_front_end(trained.experiment),
        settings=trained.experiment,
        _predictor=predictor,
        trained=trained.network,
        choices=dict(found.checkpoint.choices),
    )
