"""A package of a trained run says of the run's own test clips what the run said of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dcase_sweep.__main__ import main
from tests.api.test_trained import Trained, train
from tests.conftest import TINY
from tests.layout import make_tau, read_table


@pytest.fixture(scope="module", autouse=True)
def _local_store() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Trained:
    folder = tmp_path_factory.mktemp("scenes")
    return train(folder, database, make_tau(folder / "tau"), "data=tau2020", "augmentation=mixup", *TINY)


@pytest.mark.parametrize("given", ["id", "folder"])
def test_the_probabilities_are_those_of_the_test(scenes: Trained, tmp_path: Path, given: str) -> None:
    run = scenes.result.run_id if given == "id" else str(scenes.folder / "run")
    table = scenes.data / "evaluation_setup/fold1_evaluate.csv"

    assert run is not None
    code = main(
        ["submit", run, f"tracking.folder={scenes.mlruns}", "--recordings", str(scenes.data), "--table", str(table)]
        + ["--label", "Kim_SNU_task1a_1", "--bits", "32", "--draft", "-o", str(tmp_path)]
    )

    assert code == 0
    folder = tmp_path / "task1/task1a/Kim_SNU_task1a_1"
    submitted, own = read_table(folder / "Kim_SNU_task1a_1.output.csv"), read_table(scenes.folder / "run/scores.csv")
    assert [f"audio/{row['filename']}" for row in submitted] == [row["filename"] for row in own]
    for ours, theirs in zip(submitted, own, strict=True):
        assert ours["scene_label"] == theirs["scene_label"]
        for name in ("bus", "park", "tram"):
            assert float(ours[name]) == pytest.approx(float(theirs[name]), abs=1e-5)
    metadata = yaml.safe_load((folder / "Kim_SNU_task1a_1.meta.yaml").read_text(encoding="utf-8"))
    metrics = json.loads((scenes.folder / "run/metrics.json").read_text())
    assert metadata["results"]["development_dataset"]["overall"] == {
        "logloss": pytest.approx(metrics["test/log_loss"], abs=1e-4),
        "accuracy": pytest.approx(100 * metrics["test/accuracy"], abs=1e-4),
    }
    assert metadata["system"]["description"]["data_augmentation"] == "mixup"
