"""Time limits: how they are written, which one counts, and what fits."""

import time
from pathlib import Path

import pytest

from dcase_sweep.utils import time_limit
from dcase_sweep.utils.time_limit import OutOfTime, TimeLimit, describe_shortage, find_deadline, parse_duration


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(90, 90), (1.5, 1.5), ("90", 90), ("2:00", 120), ("1:00:00", 3600), ("2-12:00:00", 216_000), ("0:00:01.5", 1.5)],
)
def test_a_limit_is_seconds_or_a_time_as_slurm_writes_it(value: object, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize("value", ["", "soon", "1:2:3:4", 0, -1, "0", float("inf"), True, [1], "9999-00:00:00"])
def test_anything_else_is_no_limit(value: object) -> None:
    with pytest.raises(ValueError, match="expected seconds, or "):
        parse_duration(value)


def test_the_earliest_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "_get_start", lambda: 1000.0)
    assert find_deadline() is None
    assert find_deadline(50.0) == 1050

    monkeypatch.setenv("SLURM_JOB_END_TIME", "1040")
    assert find_deadline() == find_deadline(50.0) == 1040
    assert find_deadline(30.0) == 1030

    monkeypatch.setattr(time_limit._process, "deadline", 1010.0)
    assert find_deadline(30.0) == 1010


@pytest.mark.parametrize(
    ("answer", "left"), [("1:30", 90), ("2-00:00:01", 172_801), ("UNLIMITED", None), ("INVALID", None), ("", None)]
)
def test_versions_of_slurm_that_set_no_variable_are_asked_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str, left: int | None
) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_text(
        f"#!/bin/sh\n[ \"$2 $3\" = '--jobs=12 --format=%L' ] && echo '{answer}' && echo x >> {tmp_path}/asked\n"
    )
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    time_limit._ask_slurm.cache_clear()

    first, second = find_deadline(), find_deadline()

    time_limit._ask_slurm.cache_clear()
    assert first == second
    assert (first is None) == (left is None)
    assert left is None or first == pytest.approx(time.time() + left, abs=30)
    assert (tmp_path / "asked").read_text() == "x\n"


@pytest.mark.parametrize("value", ["999", "never", ""])
def test_the_end_of_another_job_is_no_limit(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr(time_limit, "_get_start", lambda: 1000.0)
    monkeypatch.setenv("SLURM_JOB_END_TIME", value)

    assert find_deadline() is None


def test_what_does_not_fit_is_refused_with_both_times() -> None:
    limit = TimeLimit(time.time() + 30.4)

    limit.check(20)
    with pytest.raises(OutOfTime, match=r"^time limit: 0:00:30 left, an epoch takes 0:01:30$"):
        limit.check(90)
    TimeLimit(None).check(1e9)


def test_a_limit_that_has_passed_is_not_compared_with_an_epoch() -> None:
    assert describe_shortage(-0.2, 0.0) == "time limit: no time is left"
