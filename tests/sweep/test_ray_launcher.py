"""The launcher of Ray without Ray: what is sent to a node, and what comes of a lost job."""

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from dcase_sweep.sweep import launchers
from dcase_sweep.sweep.launchers import JobLost, check_launcher, is_stopped_job
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.gpus import SHARE

PROJECT = Path(__file__).resolve().parents[1] / "projects" / "resumable"


class Ray(ModuleType):
    """Runs tasks at once in this process. Every second one is lost if ``loses`` is set."""

    class Failed(Exception):
        """Of Ray itself."""

    class TaskFailed(Failed):
        """Of the code of a task."""

        def __init__(self, cause: Exception) -> None:
            self.cause = cause

    def __init__(self) -> None:
        super().__init__("ray")
        self.exceptions = SimpleNamespace(RayError=self.Failed, RayTaskError=self.TaskFailed)
        self.loses = False
        self.options: dict[str, Any] = {}
        self.address: str | None = None

    def is_initialized(self) -> bool:
        return False

    def init(self, address: str, **_: object) -> None:
        self.address = address

    def shutdown(self) -> None:
        self.address = None

    def put(self, value: bytes) -> bytes:
        return value

    def remote(self, **options: Any) -> Callable[[Callable[..., bytes]], Any]:
        self.options = options
        return lambda function: SimpleNamespace(remote=lambda *values: (function, values))

    def get(self, task: Any) -> bytes:
        function, values = task
        if self.loses and values[-1] % 2:
            raise self.Failed("the worker died\nunexpectedly")
        try:
            return bytes(function(*values))
        except Exception as error:
            raise self.TaskFailed(error) from error

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(get_task_id=lambda: "task-1")


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    ray = Ray()
    monkeypatch.setitem(__import__("sys").modules, "ray", ray)
    return ray


def report_place(config: DictConfig) -> str:
    return f"{config.step} {HydraConfig.get().job.num} {os.getcwd()} {os.environ['GIVEN']} {os.environ.get(SHARE)}"


def make_launcher(folder: Path, *words: str) -> Any:
    loader = ConfigLoaderImpl(create_config_search_path(str(PROJECT / "conf")))
    config = loader.load_configuration(
        "config", ["hydra/launcher=ray", "hydra.job.chdir=false", f"hydra.sweep.dir={folder}", *words], RunMode.MULTIRUN
    )
    context = HydraContext(loader, SimpleNamespace(on_job_start=lambda **_: None, on_job_end=lambda **_: None))  # type: ignore[arg-type]
    return Plugins.instance().instantiate_launcher(hydra_context=context, task_function=report_place, config=config)


@pytest.fixture
def launcher(ray: Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("GIVEN", "variable")
    monkeypatch.setenv(SHARE, "1/2/8")  # of the command itself
    monkeypatch.chdir(tmp_path)
    return make_launcher(tmp_path, "hydra.launcher.num_gpus=0.5")


def test_jobs_have_the_folder_and_the_variables_of_the_command(launcher: Any, ray: Ray, tmp_path: Path) -> None:
    results = launcher.launch([["step=0.1"], ["step=0.2"]], initial_job_idx=3)

    expected = [f"{step} {number} {tmp_path} variable 0/1/2" for step, number in ((0.1, 3), (0.2, 4))]
    assert [result.return_value for result in results] == expected
    assert ray.address is None
    assert ray.options["num_gpus"] == 0.5
    assert ray.options["max_retries"] == 0


def test_a_lost_job_is_an_interrupted_one_and_costs_no_other(launcher: Any, ray: Ray) -> None:
    ray.loses = True

    kept, lost = launcher.launch([["step=0.1"], ["step=0.2"]], initial_job_idx=0)

    assert kept.return_value.startswith("0.1 0 ")
    with pytest.raises(JobLost, match="the worker died unexpectedly") as found:
        _ = lost.return_value
    assert is_stopped_job(found.value)


def test_a_node_without_the_folder_of_the_command_is_named(
    launcher: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    monkeypatch.setattr(os, "getcwd", lambda: str(folder))

    (result,) = launcher.launch([["step=0.1"]], initial_job_idx=0)

    with pytest.raises(UserError, match=r"elsewhere: No such file or directory on .*expected .* on a shared disk"):
        _ = result.return_value


def test_no_cluster_is_an_error_in_one_line(launcher: Any, ray: Ray, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: str, **_: object) -> None:
        raise ConnectionError("Could not find any running Ray instance.\nPlease specify one")

    monkeypatch.setattr(ray, "init", refuse)

    with pytest.raises(UserError, match=r"hydra\.launcher\.address=auto: no Ray cluster to run on: Could .*ray start"):
        launcher.launch([["step=0.1"]], initial_job_idx=0)


def test_ray_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "find_spec", lambda name: None)
    config = OmegaConf.create({"hydra": {"launcher": {"_target_": "hydra_plugins.dcase_sweep.RayLauncher"}}})

    with pytest.raises(UserError, match=r"hydra/launcher=ray: Ray is not installed; pip install 'dcase-sweep\[ray\]'"):
        check_launcher(config)


@pytest.mark.parametrize("count", [-1, "many", True, float("nan")])
def test_what_a_job_takes_is_a_number(count: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "find_spec", lambda name: object())
    launcher = {"_target_": "hydra_plugins.dcase_sweep.RayLauncher", "num_cpus": count, "num_gpus": 0.5}

    with pytest.raises(UserError, match=r"hydra\.launcher\.num_cpus=.*: expected a number of at least 0"):
        check_launcher(OmegaConf.create({"hydra": {"launcher": launcher}}))
