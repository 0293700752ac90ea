"""The view of MLflow's list of runs that the printed address opens."""

import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from mlflow.exceptions import MlflowException

from dcase_sweep import tracking
from dcase_sweep.config import Tracking
from dcase_sweep.tracking.saved_view import HEADLINE_METRICS, KEY, PREFIX, link_to_runs, make_view


@pytest.fixture
def store(mlruns: Path, tmp_path: Path) -> tracking.Store:
    return tracking.open_store(Tracking(folder=str(tmp_path / "mlruns")))


def test_the_address_names_the_view_that_the_experiment_has(store: tracking.Store) -> None:
    tags = store.client.get_experiment(store.experiment_id).tags

    page = f"http://127.0.0.1:5000/#/experiments/{store.experiment_id}/runs"
    assert store.link == f"{page}?viewStateShareKey={KEY}&workflowType=machine_learning"
    columns = json.loads(tags[PREFIX + KEY])["selectedColumns"]
    assert columns[4:] == [f"metrics.`{name}`" for name in HEADLINE_METRICS]
    assert len(tags[PREFIX + KEY]) < 5000  # the longest tag that every store takes


def test_the_view_of_a_sweep_lists_its_jobs_alone(store: tracking.Store, tmp_path: Path) -> None:
    settings = Tracking(folder=str(tmp_path / "mlruns"))
    sweep = tracking.start_run(settings, name="sweep", tags={})
    job = tracking.start_run(Tracking(folder=settings.folder, parent=sweep.id), name="job", tags={})

    link = store.link_to_sweep(sweep.id)

    key = parse_qs(link.rpartition("?")[2])["viewStateShareKey"][0]
    view = json.loads(store.client.get_experiment(store.experiment_id).tags[PREFIX + key])
    order = f"{view['orderByKey']} {'ASC' if view['orderByAsc'] else 'DESC'}"
    found = store.client.search_runs([store.experiment_id], view["searchFilter"], order_by=[order])
    assert [run.info.run_id for run in found] == [job.id]


def test_a_store_that_keeps_no_view_has_an_address_without_one(
    store: tracking.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MlflowException("PERMISSION_DENIED")

    monkeypatch.setattr(store.client, "set_experiment_tag", refuse)

    training = "workflowType=machine_learning"
    assert store.link_to_sweep("0123456789").endswith(f"/runs/0123456789?{training}")
    assert link_to_runs("https://here/", "3", has_view=False) == f"https://here/#/experiments/3/runs?{training}"


def test_all_columns_have_a_place_and_a_width() -> None:
    view = json.loads(make_view())

    assert set(view["selectedColumns"]) <= set(view["columnOrder"])
    assert set(view["columnWidths"]) == {"attributes.`Run Name`", *view["selectedColumns"]}
