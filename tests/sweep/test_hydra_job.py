"""Jobs of a search, compared with the same ones run by Hydra itself."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal.callbacks import Callbacks
from hydra.core import utils as hydra_utils
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from dcase_sweep.sweep.hydra_job import run_job
from tests.sweep.test_composer import make_composer


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    """Keep Hydra's settings and the logging of the tests."""
    root, before = logging.getLogger(), HydraConfig.instance().cfg
    handlers, level, disabled = list(root.handlers), root.level, logging.root.manager.disable
    hydra_utils.setup_globals()
    yield
    HydraConfig.instance().cfg = before
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.disable(disabled)


def make_config(folder: Path, *overrides: str) -> DictConfig:
    own = [f"hydra.sweep.dir={folder}", "hydra.sweep.subdir=job-${hydra:job.num}", *overrides]
    config = make_composer(own).compose(["seed=3", "model.dropout=0.25", "model.units=8"])
    with open_dict(config):
        config.hydra.job.id = config.hydra.job.num = 7
        config.hydra.job_logging.root.handlers = ["file"]
    return config


def observe(composed: DictConfig) -> dict[str, Any]:
    """The task function of these tests: everything that a job can see."""
    settings = HydraConfig.get()
    return {
        "configuration": OmegaConf.to_container(composed, resolve=False),
        "is_struct": OmegaConf.is_struct(composed),
        "settings": OmegaConf.to_container(settings, resolve=False, enum_to_str=True),
        "name": str(settings.job.num),
        "folder": Path(settings.runtime.output_dir).name,
        "files": {
            path.name: yaml.safe_load(path.read_text()) for path in Path(settings.runtime.output_dir).glob(".hydra/*")
        },
    }


def without_place(found: Any, folder: Path) -> Any:
    return yaml.safe_load(yaml.safe_dump(found).replace(str(folder), "FOLDER"))


def test_a_job_sees_and_leaves_what_it_does_under_hydra(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "a", tmp_path / "b"
    context: Any = make_composer([]).context
    context.callbacks = Callbacks()

    found = run_job(context, observe, make_config(ours))
    expected = hydra_utils.run_job(
        observe, make_config(theirs), "hydra.sweep.dir", "hydra.sweep.subdir", context
    ).return_value

    assert without_place(found, ours) == without_place(expected, theirs)
    assert set(found["files"]) == {"config.yaml", "hydra.yaml", "overrides.yaml"}
    assert found["folder"] == "job-7"
    names = [sorted(str(path.relative_to(each)) for path in each.rglob("*")) for each in (ours, theirs)]
    assert names[0] == names[1]


def test_an_error_is_passed_on_and_the_settings_are_those_of_the_sweep_again(tmp_path: Path) -> None:
    def fail(_: DictConfig) -> None:
        raise KeyError("of the job")

    before = HydraConfig.instance().cfg = OmegaConf.create({"hydra": {"job": {"name": "the sweep"}}})
    context: Any = make_composer([]).context

    with pytest.raises(KeyError, match="of the job"):
        run_job(context, fail, make_config(tmp_path))

    assert HydraConfig.instance().cfg is before


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_with_an_environment_of_its_own_is_run_by_hydra(
    fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def task(_: DictConfig) -> str:
        if fails:
            raise KeyError("of the job")
        return os.environ["OF_THE_JOB"]

    context: Any = make_composer([]).context
    context.callbacks = Callbacks()
    config = make_config(tmp_path, "+hydra.job.env_set.OF_THE_JOB=one")

    if fails:
        with pytest.raises(KeyError, match="of the job"):
            run_job(context, task, config)
    else:
        assert run_job(context, task, config) == "one"

    assert "OF_THE_JOB" not in os.environ
    assert capsys.readouterr().err == ""


def test_a_job_changes_its_configuration_alone(tmp_path: Path) -> None:
    config = make_config(tmp_path)

    def change(composed: DictConfig) -> None:
        composed.seed = 99

    run_job(make_composer([]).context, change, config)

    assert config.seed == 3
