"""Filled studies for benchmarks, in a journal, SQLite, PostgreSQL or MariaDB."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna

#: Kinds of storages that are created for a benchmark. A URL names any other.
KINDS = ("journal", "sqlite", "postgresql", "mariadb")
EPOCHS = 20
#: Blocks of the networks, each with three values, beside four values of the training.
BLOCKS = 3


@contextmanager
def open_place(storage: str, folder: Path) -> Iterator[str | None]:
    """Name a storage of a kind, whose server is started for the block; None if that is not installed.

    Args:
        storage: one of `KINDS`, or the URL of an empty database.
        folder: for the files of a journal or of SQLite.
    """
    from tests.engines import mariadb, postgresql

    files = {"journal": str(folder / "optuna.log"), "sqlite": f"sqlite:///{folder}/optuna.db"}
    if storage not in ("postgresql", "mariadb"):
        yield files.get(storage, storage)
        return
    engine = postgresql if storage == "postgresql" else mariadb
    start: Any = getattr(engine, f"start_{storage}")
    if engine.find_binaries() is None:
        print(f"{storage}: skipped, it is not installed (python -m tests.engines --install)", flush=True)
    with nullcontext() if engine.find_binaries() is None else start() as server:
        yield None if server is None else server.url


def distributions() -> "dict[str, optuna.distributions.BaseDistribution]":
    """The values of a trial."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    own: dict[str, Any] = {
        "optimizer.lr": FloatDistribution(1e-4, 1e-2, log=True),
        "training.batch_size": IntDistribution(16, 128),
        "model.dropout": FloatDistribution(0.0, 0.5),
        "optimizer": CategoricalDistribution(("adam", "adamw", "sgd")),
    }
    for block in range(BLOCKS):
        own[f"model.blocks.{block}.filters"] = IntDistribution(8, 64, step=8)
        own[f"model.blocks.{block}.kernel"] = CategoricalDistribution(("[3,3]", "[5,5]", "[7,7]"))
        own[f"model.blocks.{block}.pool"] = CategoricalDistribution(("[2,2]", "[2,5]", "[4,4]"))
    return own


def make_overrides(params: dict[str, Any]) -> list[str]:
    blocks = [
        "{"
        + ",".join(f"{part}:{params[f'model.blocks.{block}.{part}']}" for part in ("filters", "kernel", "pool"))
        + "}"
        for block in range(BLOCKS)
    ]
    own = [f"{key}={value}" for key, value in params.items() if not key.startswith("model.blocks")]
    return [*own, f"model.blocks=[{','.join(blocks)}]"]


def fill(where: str, name: str, size: int) -> None:
    """Create a study with trials as searches leave them: three of four finished, the others pruned or rejected."""
    import optuna

    from dcase_sweep.sweep.optuna import study as records

    storage = records.open_storage(where)
    optuna.create_study(storage=storage, study_name=f"{name}-small", direction="maximize")
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    # A signature as large as that of a search.
    study.set_user_attr(records.SIGNATURE, {"configuration": dict.fromkeys(map("model.key_{}".format, range(150)), 1)})
    add_trials(study, make_trials(size))


def add_trials(study: "optuna.Study", trials: "Sequence[optuna.trial.FrozenTrial]") -> None:
    """Add trials to an empty study, to a database in one transaction."""
    storage = study._storage
    backend = getattr(storage, "_backend", getattr(storage, "cached", storage))
    if hasattr(backend, "_backend"):  # the cache of a server
        backend = backend._backend
    if hasattr(backend, "engine"):
        insert(backend, study._study_id, trials)
    else:
        study.add_trials(trials)


def insert(storage: Any, study_id: int, trials: "Sequence[optuna.trial.FrozenTrial]") -> None:
    """Add trials to a database in one transaction; Optuna takes one for each of a trial's forty values."""
    from optuna.distributions import distribution_to_json
    from optuna.storages._rdb import models
    from sqlalchemy import insert as into
    from sqlalchemy import text as statement
    from sqlalchemy.orm import Session

    rows: dict[Any, list[dict[str, Any]]] = {
        kind: []
        for kind in (
            *(models.TrialModel, models.TrialValueModel, models.TrialParamModel),
            *(models.TrialUserAttributeModel, models.TrialIntermediateValueModel),
        )
    }
    described: dict[str, str] = {}
    with Session(storage.engine) as session:
        first = (session.query(models.TrialModel.trial_id).order_by(models.TrialModel.trial_id.desc()).first() or [0])[
            0
        ]
        for number, trial in enumerate(trials):
            of_trial = {"trial_id": first + number + 1}
            times = {"datetime_start": trial.datetime_start, "datetime_complete": trial.datetime_complete}
            rows[models.TrialModel].append(
                {**of_trial, "number": number, "study_id": study_id, "state": trial.state, **times}
            )
            if trial.value is not None:
                kind = models.TrialValueModel.TrialValueType.FINITE
                rows[models.TrialValueModel].append(
                    {**of_trial, "objective": 0, "value": trial.value, "value_type": kind}
                )
            for name, value in trial.params.items():
                own = trial.distributions[name]
                text = described.setdefault(name, distribution_to_json(own))
                parameter = {"param_name": name, "param_value": own.to_internal_repr(value), "distribution_json": text}
                rows[models.TrialParamModel].append({**of_trial, **parameter})
            for key, attribute in trial.user_attrs.items():
                rows[models.TrialUserAttributeModel].append(
                    {**of_trial, "key": key, "value_json": json.dumps(attribute)}
                )
            finite = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
            for step, value in trial.intermediate_values.items():
                rows[models.TrialIntermediateValueModel].append(
                    {**of_trial, "step": step, "intermediate_value": value, "intermediate_value_type": finite}
                )
        for kind, values in rows.items():
            if values:
                session.execute(into(kind.__table__), values)
        if storage.engine.dialect.name == "postgresql":  # which numbers its next trial from a counter of its own
            session.execute(statement("SELECT setval('trials_trial_id_seq', (SELECT MAX(trial_id) FROM trials))"))
        session.commit()


class _RandomTrial:
    """Draws the values that a space asks a trial for."""

    def __init__(self, sampler: "optuna.samplers.BaseSampler") -> None:
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, Any] = {}
        self._sampler = sampler

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        from optuna.distributions import CategoricalDistribution

        return self.draw(name, CategoricalDistribution(choices))

    def suggest_int(self, name: str, low: int, high: int, **more: Any) -> Any:
        from optuna.distributions import IntDistribution

        return self.draw(name, IntDistribution(low, high, **more))

    def suggest_float(self, name: str, low: float, high: float, **more: Any) -> Any:
        from optuna.distributions import FloatDistribution

        return self.draw(name, FloatDistribution(low, high, **more))

    def draw(self, name: str, distribution: "optuna.distributions.BaseDistribution") -> Any:
        blank: Any = None
        self.distributions[name] = distribution
        self.params[name] = self._sampler.sample_independent(blank, blank, name, distribution)
        return self.params[name]


def _suggest(trial: Any) -> list[str]:
    for name, distribution in distributions().items():
        trial.draw(name, distribution)
    return make_overrides(trial.params)


def make_trials(size: int, suggest: Callable[[Any], list[str]] = _suggest) -> "list[optuna.trial.FrozenTrial]":
    """Make trials as searches leave them: three of four finished, the others pruned or rejected.

    Args:
        size: their number.
        suggest: draws the values of a trial, and returns its overrides, as `Space.suggest` does.
    """
    import optuna
    from optuna.trial import TrialState

    from dcase_sweep.sweep.optuna import study as records

    rng = random.Random(1)
    sampler = optuna.samplers.RandomSampler(seed=1)
    trials = []
    began = datetime(2026, 1, 1)
    for number in range(size):
        drawn = _RandomTrial(sampler)
        overrides = suggest(drawn)
        what = rng.choices(["finished", "pruned", "rejected"], [0.75, 0.15, 0.1])[0]
        attributes: dict[str, Any] = {
            records.OWNER: "host:12345:678901",
            records.OVERRIDES: overrides,
            records.THREADS: 1,
        }
        epochs = 0 if what == "rejected" else EPOCHS if what == "finished" else rng.randrange(1, EPOCHS)
        if what == "rejected":
            attributes[records.REJECTED] = "complexity/size_kib_16bit 412 > 128"
        else:
            attributes |= {records.RUN: f"{number:032x}", records.FOLDER: f"/data/multirun/12-00-00/{number}"}
        if what == "finished":
            attributes |= {records.SECONDS: 60.0, records.WORK: 59.0}
            attributes[records.METRICS] = dict.fromkeys(map("test/metric_{}".format, range(20)), rng.random())
        trials.append(
            optuna.trial.create_trial(
                state=TrialState.COMPLETE if what == "finished" else TrialState.PRUNED,
                value=rng.random() if what == "finished" else None,
                params=drawn.params,
                distributions=drawn.distributions,
                user_attrs=attributes,
                intermediate_values={step: rng.random() for step in range(epochs)},
            )
        )
        trials[-1].datetime_start = began + timedelta(seconds=number)
        trials[-1].datetime_complete = began + timedelta(seconds=number + 1)
    return trials
