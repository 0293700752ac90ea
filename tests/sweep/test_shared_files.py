"""A database file is warned about where jobs run on other machines."""

import pytest
from omegaconf import OmegaConf

from dcase_sweep.sweep.shared_files import leaves_machine, warn_about_file


@pytest.mark.parametrize(
    ("target", "leaves"),
    [
        (None, False),
        ("hydra._internal.core_plugins.basic_launcher.BasicLauncher", False),
        ("hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher", False),
        ("hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher", False),
        ("hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher", True),
        ("hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher", True),
        ("my_cluster.Launcher", True),
    ],
)
def test_files_are_warned_about_where_jobs_leave_this_machine(
    target: str | None, leaves: bool, caplog: pytest.LogCaptureFixture
) -> None:
    config = OmegaConf.create({"hydra": {"launcher": {} if target is None else {"_target_": target}}})

    warn_about_file(config, "tracking.uri", "sqlite:///mlruns/mlflow.db", "a server: tracking.uri=http://HOST:5000")

    assert leaves_machine(config) is leaves
    assert ("tracking.uri=sqlite:///mlruns/mlflow.db: a file, and" in caplog.text) is leaves
    assert ("use a server: tracking.uri=http://HOST:5000" in caplog.text) is leaves
