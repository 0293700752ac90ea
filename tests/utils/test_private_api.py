"""The list of private names of other libraries is complete, and the names exist."""

import ast
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import dcase_sweep
from dcase_sweep.utils.private_api import PRIVATE_NAMES

PACKAGE = Path(dcase_sweep.__file__).parent
LISTED = {each.name for each in PRIVATE_NAMES}
#: Words of Hydra's configurations and of Python's named tuples, which are public.
PUBLIC = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_", "_asdict", "_replace", "_fields"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def trees() -> Iterator[tuple[Path, ast.AST]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if "project" not in path.relative_to(PACKAGE).parts:
            yield path, ast.parse(path.read_text())


def defined() -> set[str]:
    """Return all names that this package defines itself."""
    found: set[str] = set()
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.attr if isinstance(node, ast.Attribute) else node.id)
    return found


def test_every_private_name_that_is_used_is_listed() -> None:
    own, unlisted = defined(), []
    for path, tree in trees():
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
                names = [node.attr]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("dcase_sweep"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [name for name in names if any(map(is_private, name.split(".")))]
            unlisted += [f"{path.name}:{name}" for name in names if name not in LISTED]

    assert unlisted == []


def test_every_listed_name_is_used() -> None:
    text = "\n".join(path.read_text() for path, _ in trees() if path.name != "private_api.py")

    assert [name for name in LISTED if name.rpartition(".")[2] not in text] == []


@pytest.mark.parametrize("name", sorted(name for name in LISTED if "." in name))
def test_private_names_exist(name: str) -> None:
    module, _, attribute = name.rpartition(".")

    assert hasattr(import_module(module), attribute) or find_spec(name) is not None


def storage() -> Any:
    import optuna

    return optuna.create_study()


def test_optunas_study_has_its_storage_and_a_trial_its_number_there() -> None:
    study = storage()
    trial = study.ask()

    assert study._storage.get_trial(trial._trial_id).number == trial.number
    assert study.get_trials()[0]._trial_id == trial._trial_id


def test_mlflows_client_has_the_engine_of_its_store(mlruns: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{mlruns / 'mlflow.db'}")

    assert client._tracking_client.store.engine.dialect.name == "sqlite"


def test_codecarbons_tracker_has_its_schedulers_and_hardware() -> None:
    codecarbon = pytest.importorskip("codecarbon")
    tracker = codecarbon.OfflineEmissionsTracker(
        country_iso_code="FRA", save_to_file=False, log_level="critical", allow_multiple_runs=True
    )
    tracker.start()
    try:
        assert tracker._scheduler._timer is not None
        assert hasattr(tracker, "_scheduler_monitor_power")
        assert any(hasattr(each, "_mode") and hasattr(each, "_tdp") for each in tracker._hardware)
    finally:
        tracker.stop()


def test_pytorchs_layers_have_their_hooks_and_its_storages_an_identity() -> None:
    import torch

    layer = torch.nn.Linear(1, 1)
    layer.register_forward_hook(lambda *_: None)
    layer.register_forward_pre_hook(lambda *_: None)
    tensor = torch.empty(2, device="meta")

    assert (len(layer._forward_hooks), len(layer._forward_pre_hooks)) == (1, 1)
    assert tensor.untyped_storage()._cdata == tensor.view(1, 2).untyped_storage()._cdata
    assert torch.empty(2, device="meta").untyped_storage()._cdata != tensor.untyped_storage()._cdata


def test_pytorchs_overloads_have_their_operator() -> None:
    import torch

    aten = torch.ops.aten
    assert aten.mm.default._overloadpacket is aten.mm
    assert aten._trilinear.default._overloadpacket is aten._trilinear


def test_pytorchs_operations_on_lists_take_a_tensor() -> None:
    import torch

    values, factor = [torch.tensor([1.0, 2.0]), torch.tensor([3.0])], torch.tensor(0.5)

    doubled = torch._foreach_mul(values, torch.tensor(2.0))
    torch._foreach_mul_(values, factor)
    torch._foreach_add_(values, doubled)

    assert [each.tolist() for each in values] == [[2.5, 5.0], [7.5]]


def test_lightnings_weight_averaging_has_its_model() -> None:
    from pytorch_lightning.callbacks import WeightAveraging

    assert hasattr(WeightAveraging(), "_average_model")


def test_keras_optimizers_know_the_position_of_a_variable() -> None:
    keras = pytest.importorskip("keras")

    assert callable(keras.optimizers.Adam._get_variable_index)


def test_hydras_loader_and_source_have_their_steps(tmp_path: Path) -> None:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.core_plugins.file_config_source import FileConfigSource
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    config = OmegaConf.create({"a": {"b": 1}})
    ConfigLoaderImpl._apply_overrides_to_config([OverridesParser.create().parse_override("a.b=2")], config)

    assert config.a.b == 2
    assert FileConfigSource(provider="main", path=str(tmp_path))._normalize_file_name("model/cnn4") == "model/cnn4.yaml"
