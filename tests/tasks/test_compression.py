"""The report on the compression of a run."""

import logging

import numpy as np
import pytest

from dcase_sweep.complexity.rules import Complexity, layer_complexity
from dcase_sweep.config import Compression, Experiment
from dcase_sweep.config.schemas import Task
from dcase_sweep.evaluation.result import EvaluationResult
from dcase_sweep.tasks.compression import conclude_compression


def network(nonzero: int) -> Complexity:
    weights = np.zeros(100_000, np.float32)
    weights[:nonzero] = 1
    return Complexity((layer_complexity("dense", "Linear", [weights]),))


def experiment(limit: float | None = 128, **settings: object) -> Experiment:
    return Experiment(task=Task(size_limit_kib=limit), compression=Compression(**settings))  # type: ignore[arg-type]


def result(accuracy: float, log_loss: float) -> EvaluationResult:
    return EvaluationResult({"test/accuracy": accuracy, "test/log_loss": log_loss}, "")


def test_size_and_loss_in_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    metrics = conclude_compression(
        experiment(start="run", nonzero_kib=100), network(51_200), result(0.75, 0.70), result(0.735, 0.755)
    )

    assert [record.getMessage().split(maxsplit=1) for record in caplog.records] == [
        [
            "size",
            "195.31 KiB → 100.00 KiB non-zero at 16 bit (within the 128 KB of DCASE 2021), "
            "51,200 of 100,000 parameters",
        ],
        ["accuracy", "75.0 % → 73.5 % (-1.5 points), log loss 0.700 → 0.755 (+0.055)"],
    ]
    assert metrics["complexity/nonzero_parameters"] == 51_200
    assert metrics["complexity/nonzero_kib_16bit"] == 100
    assert metrics["complexity/within_128_kb"] == 1
    assert metrics["compression/accuracy_lost"] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("limit", "bits", "says"),
    [(128, 32, "200.00 KiB non-zero at 32 bit (OVER the 128 KB"), (None, 8, "50.00 KiB non-zero at 8 bit, 51,200 of")],
)
def test_the_limit_applies_to_the_configured_number_of_bits(
    caplog: pytest.LogCaptureFixture, limit: float | None, bits: int, says: str
) -> None:
    caplog.set_level(logging.INFO)

    metrics = conclude_compression(experiment(limit, quantize=True, bits=bits), network(51_200), None, result(0.5, 1.0))

    assert says in caplog.text
    assert metrics.get("complexity/within_128_kb", 0) == 0
    assert "compression/accuracy_lost" not in metrics


def test_without_compression_zeros_are_counted_but_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    metrics = conclude_compression(experiment(), network(60_000), None, result(0.5, 1.0))

    assert metrics["complexity/nonzero_parameters"] == 60_000
    assert not caplog.records
