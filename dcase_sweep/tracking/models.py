"""Trained networks as MLflow models, in the folder of their run.

The files are written according to MLflow's format of models. ``mlflow.pyfunc.log_model`` would load the logged model,
query pip for installed packages and start a process, which takes longer than a small training.
"""

import base64
import json
import platform
import re
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcase_sweep.config import Tracking
from dcase_sweep.tracking.stores import absolute_uri, is_there, open_store, resolve_uri
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.files import link_or_copy, write_text

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Name of a run's model: ``runs:/RUN_ID/model``.
MODEL = "model"
#: The tag of a run that lists its models. MLflow's page shows the signature of a model that is in it.
HISTORY = "mlflow.log-model.history"
_DATA, _CODE = "data", "code"
_EXAMPLE, _SERVING_EXAMPLE = "input_example.json", "serving_input_example.json"
_REQUIREMENTS, _PYTHON, _CONDA = "requirements.txt", "python_env.yaml", "conda.yaml"
#: The address of a registered model: its name with an alias or a version, or the ID of a model alone.
_REGISTERED = re.compile(r"models:/([^/@]+)(?:@([^/]+)|/([^/]+))?/?")
#: The address of an artifact of a run.
_OF_RUN = re.compile(r"runs:/([^/]+)/(.+)")
#: Type of a column → the name of MLflow's type; ``doubles`` is an array of them.
_TYPES = {"text": "string", "number": "double", "whole": "long", "bytes": "binary"}


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """The parts of an MLflow model.

    Attributes:
        loader: full name of a module with a function ``_load_pyfunc(folder)``.
        checkpoint: the checkpoint that it loads, with this name in the folder.
        inputs: column → type, ``text``, ``number``, ``whole``, ``bytes`` or ``doubles``; all columns are optional.
        outputs: column → type, likewise.
        parameters: name → default, a number.
        example: bytes of the first input column.
        requirements: requirements for pip with their versions.
        code: path on the import path → file, for the user's own components.
    """

    loader: str
    checkpoint: Path
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    parameters: Mapping[str, float]
    example: bytes
    requirements: Sequence[str]
    code: Mapping[str, Path] = field(default_factory=dict)


def write_model(package: ModelPackage, folder: Path, *, run_id: str, checkpoint: Path | None = None) -> dict[str, str]:
    """Write a model as MLflow reads it, and return the tag of the run that names it.

    Args:
        package: the parts of the model.
        folder: a folder that does not exist yet.
        run_id: ID of the run that trained it.
        checkpoint: the same file on the disk of the folder, which is linked to instead of copied.
    """
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature

    (folder / _DATA).mkdir(parents=True)
    link_or_copy(checkpoint or package.checkpoint, folder / _DATA / package.checkpoint.name)
    for name, source in package.code.items():
        target = folder / _CODE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    _write_environment(folder, package.requirements)
    signature = ModelSignature(
        inputs=_schema(package.inputs, required=False),
        outputs=_schema(package.outputs, required=True),
        params=_parameters(package.parameters),
    )
    example = _write_example(folder, package)
    model = Model(artifact_path=MODEL, run_id=run_id, signature=signature, saved_input_example_info=example)
    pyfunc.add_to_model(
        model,
        loader_module=package.loader,
        data=_DATA,
        code=_CODE if package.code else None,
        conda_env=_CONDA,
        python_env=_PYTHON,
    )
    model.save(str(folder / "MLmodel"))
    return {HISTORY: json.dumps([model.get_tags_dict()])}


def _schema(columns: Mapping[str, str], *, required: bool) -> Any:
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    types: dict[str, Any] = {name: DataType[of_mlflow] for name, of_mlflow in _TYPES.items()}
    types["doubles"] = Array(DataType.double)
    return Schema([ColSpec(types[kind], name=name, required=required) for name, kind in columns.items()])


def _parameters(parameters: Mapping[str, float]) -> Any:
    from mlflow.types import DataType, ParamSchema, ParamSpec

    return ParamSchema([ParamSpec(name, DataType.double, default) for name, default in parameters.items()])


def _write_example(folder: Path, package: ModelPackage) -> dict[str, str]:
    """An input of one row, bytes in base64 as in every request; returns how MLflow finds it."""
    example = {"columns": [next(iter(package.inputs))], "data": [[base64.b64encode(package.example).decode("ascii")]]}
    write_text(folder / _EXAMPLE, json.dumps(example) + "\n")
    write_text(folder / _SERVING_EXAMPLE, json.dumps({"dataframe_split": example}) + "\n")
    return {
        "artifact_path": _EXAMPLE,
        "type": "dataframe",
        "pandas_orient": "split",
        "serving_input_path": _SERVING_EXAMPLE,
    }


def _write_environment(folder: Path, requirements: Sequence[str]) -> None:
    """Write the requirements for pip and for both kinds of environments that MLflow creates."""
    version = platform.python_version()
    pip = "".join(f"  - {line}\n" for line in requirements)
    write_text(folder / _REQUIREMENTS, "\n".join(requirements) + "\n")
    write_text(
        folder / _PYTHON, f"python: {version}\nbuild_dependencies:\n- pip\ndependencies:\n- -r {_REQUIREMENTS}\n"
    )
    write_text(
        folder / _CONDA,
        f"name: mlflow-env\nchannels:\n- conda-forge\ndependencies:\n- python={version}\n- pip\n- pip:\n{pip}",
    )


def fetch_model(tracking: Tracking, uri: str, folder: Path) -> Path:
    """The folder of a model, ``models:/name/version`` for instance, downloaded if it is not on this machine.

    Raises:
        UserError: in one line, if there is no such model.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    where = resolve_uri(tracking)
    if not is_there(tracking):
        raise UserError(f"run={uri}: no store of runs at {where}; expected tracking.folder= or tracking.uri= of one")
    store = open_store(tracking, experiment=False)
    try:
        files = store.call(lambda: _locate(store.client, uri))
        return Path(
            store.call(
                lambda: download_artifacts(artifact_uri=files, dst_path=str(folder), tracking_uri=absolute_uri(where))
            )
        )
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"run={uri}: no such model in {store.uri} ({reason}); expected models:/NAME/VERSION") from None


def _locate(client: "MlflowClient", uri: str) -> str:
    """Return the address of the files of a model.

    MLflow looks for a registered model in the registry of the process, not in that of the store, and there too for one
    that belongs to a run. The files of a registered model may be those of a model with an ID.

    Raises:
        MlflowException: if there is no such model.
    """
    from mlflow.exceptions import MlflowException

    for _ in range(2):
        found = _REGISTERED.fullmatch(uri)
        if found is None:
            break
        name, alias, version = found.groups()
        if alias is not None:
            version = client.get_model_version_by_alias(name, alias).version
        elif version is None:  # the ID of a model
            return str(client.get_logged_model(name).artifact_location)
        elif not version.isdecimal():
            version = _find_latest(client, name, version)
        uri = client.get_model_version_download_uri(name, version)
    if uri.startswith("models:"):
        raise MlflowException("no address of a model")
    of_run = _OF_RUN.fullmatch(uri)
    if of_run is None:
        return uri
    return f"{client.get_run(of_run[1]).info.artifact_uri.rstrip('/')}/{of_run[2]}"


def _find_latest(client: "MlflowClient", name: str, stage: str) -> str:
    """Return the number of the latest version of a registered model, in a stage unless that is ``latest``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about stages, which MLflow itself uses for this
        found = client.get_latest_versions(name, None if stage == "latest" else [stage])
    if not found:
        from mlflow.exceptions import MlflowException

        raise MlflowException(f"no version {stage}")
    return str(max(int(each.version) for each in found))
