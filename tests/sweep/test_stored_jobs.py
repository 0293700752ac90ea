"""Secrets in the files in which a launcher stores jobs."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from dcase_sweep.sweep.stored_jobs import protect_stored_jobs

SUBMITIT = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher"


@pytest.mark.parametrize(
    ("target", "uri", "is_named"),
    [
        (SUBMITIT, "http://ann:hunter2@host", True),
        (SUBMITIT, "http://host", False),
        (SUBMITIT, "${oc.env:MLFLOW_TRACKING_URI}", False),
        ("hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher", "http://ann:hunter2@host", False),
    ],
)
def test_jobs_with_secrets_are_for_their_user_only(
    target: str, uri: str, is_named: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = OmegaConf.create(
        {
            "tracking": {"uri": uri},
            "hydra": {"launcher": {"_target_": target}, "overrides": {"task": [f"tracking.uri={uri}"]}},
        }
    )

    protect_stored_jobs(config, tmp_path)

    assert ("with what is secret in tracking.uri; only you can read it" in caplog.text) is is_named
    assert (tmp_path / ".submitit").is_dir() is is_named
    assert "hunter2" not in caplog.text
    if is_named:
        assert (tmp_path / ".submitit").stat().st_mode & 0o777 == 0o700
