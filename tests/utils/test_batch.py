"""The batch job of a process."""

import pytest

from dcase_sweep.utils.batch import find_batch_job, is_requeued


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "12"}, "slurm:12@0"),
        ({"SLURM_JOB_ID": "13", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "1"}, "slurm:12_1@0"),
        ({"SLURM_JOB_ID": "12", "SLURM_CLUSTER_NAME": "north", "SLURM_RESTART_COUNT": "2"}, "slurm:north:12@2"),
        ({"SLURM_JOB_ID": "1\n2"}, None),
    ],
)
def test_a_job_of_slurm_is_known_by_its_cluster_and_number(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], name: str | None
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)

    job = find_batch_job()

    assert name == (None if job is None else str(job))
    assert is_requeued() == (name is not None and name.endswith("@2"))


def test_a_requeued_job_has_replaced_its_earlier_start_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    job = find_batch_job()
    assert job is not None

    assert [job.has_replaced(each) for each in ("slurm:12@0", "slurm:12@1", "slurm:120@0", None, "slurm:12@x")] == [
        *(True, False, False, False, False)
    ]
    assert job.is_same("slurm:12@1")
