"""Bad searches and sweeps: storages that are none, spaces without points, names that break a line, nonsense keys."""

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from tests.campaign.cases import Case

SPACE = "model.dropout=interval(0.1,0.5)"
_RECORD = {"op_code": 0, "worker_id": "w", "study_name": "s", "directions": [1]}
_LINE = json.dumps(_RECORD, separators=(",", ":")).encode() + b"\n"


def search(name: str, *more: str, expected: str, prepare: Callable[[Path], object] | None = None) -> Case:
    """A search over one key that is refused."""
    arguments = ("-m", "hydra/sweeper=optuna", *more)
    if not any(word.startswith("model.dropout") for word in more):
        arguments += (SPACE,)
    return Case(name, arguments, rf"^error: {expected}", prepare=prepare)


def space(name: str, expression: str, expected: str) -> Case:
    """A search over a key whose values are none."""
    return search(f"space-{name}", f"model.dropout={expression}", expected=expected)


def storage(name: str, where: str, expected: str, prepare: Callable[[Path], object] | None = None) -> Case:
    """A search whose study cannot be kept there."""
    return search(f"storage-{name}", f"hydra.sweeper.storage={where}", expected=expected, prepare=prepare)


def study(name: str, text: str, expected: str) -> Case:
    """A search whose study cannot be called so."""
    return search(f"name-{name}", f"hydra.sweeper.study_name={text}", expected=expected)


def journal(*lines: bytes) -> Callable[[Path], object]:
    """A journal with a study and these lines."""
    return lambda folder: (folder / "j.log").write_bytes(_LINE + b"".join(lines))


def _sparse(folder: Path) -> None:
    with (folder / "j.log").open("wb") as handle:
        handle.truncate(2**30)


def _sparse_end(folder: Path) -> None:
    with (folder / "j.log").open("wb") as handle:
        handle.write(_LINE)
        handle.truncate(2**30)


def _database(folder: Path) -> None:
    with sqlite3.connect(folder / "o.db") as connection:
        connection.execute("CREATE TABLE runs (name TEXT)")


_NOT_A_RECORD = r"hydra.sweeper.storage=.*j.log, line 2: .*; expected a record of Optuna's journal"
_NO_JOURNAL = r"hydra.sweeper.storage=\S+: not a journal of Optuna's .*; expected a journal file"

STORAGES = [
    storage("garbage-line", "j.log", _NOT_A_RECORD, journal(b"garbage\n")),
    storage("blank-line", "j.log", _NOT_A_RECORD, journal(b"\n", _LINE)),
    storage("number-line", "j.log", _NOT_A_RECORD, journal(b"42\n")),
    storage("binary-line", "j.log", _NOT_A_RECORD, journal(bytes(range(128, 256)) + b"\n")),
    storage("unknown-operation", "j.log", _NOT_A_RECORD, journal(b'{"op_code":99,"worker_id":"w"}\n')),
    storage("record-without-its-parts", "j.log", _NOT_A_RECORD, journal(b'{"op_code":4,"worker_id":"w"}\n')),
    storage("half-a-record-inside", "j.log", _NOT_A_RECORD, journal(b'{"op_code":4,"wor\n', _LINE)),
    storage("passwd", "/etc/passwd", _NO_JOURNAL),
    storage("binary", "j.log", _NO_JOURNAL, lambda folder: (folder / "j.log").write_bytes(os.urandom(4096))),
    storage("json-of-something-else", "j.log", _NO_JOURNAL, lambda f: (f / "j.log").write_text('{"a": 1}')),
    storage("sparse", "j.log", _NO_JOURNAL, _sparse),
    storage("sparse-end", "j.log", r"hydra.sweeper.storage=.*j.log, line 2: longer than 16 MiB", _sparse_end),
    storage("folder", "d", r"hydra.sweeper.storage=d: a folder; expected a journal", lambda f: (f / "d").mkdir()),
    storage("pipe", "p", r"hydra.sweeper.storage=p: a named pipe; expected a journal", lambda f: os.mkfifo(f / "p")),
    storage("device", "/dev/zero", r"hydra.sweeper.storage=/dev/zero: a device; expected a journal"),
    storage("unwritable", "/proc/nowhere/j.log", r"hydra.sweeper.storage=/proc/nowhere/j.log: .*; expected a file in"),
    storage("below-a-file", "f/j.log", r"hydra.sweeper.storage=f/j.log: Not a dir", lambda f: (f / "f").touch()),
    storage("long-path", "x" * 5000, r"hydra.sweeper.storage='?x+'?: File name too long"),
    storage("empty-text", "''", r"hydra.sweeper.storage='': empty; expected a name or a path"),
    storage("list", "[a,b]", r"hydra.sweeper.storage=\['a', 'b'\]: expected a text or null"),
    storage("unknown-database", "foo://me:top.secret@host/x", r"hydra.sweeper.storage=foo://me:\*\*\*@host/x: "),
    storage("redis", "redis://localhost", r"hydra.sweeper.storage=redis://localhost: "),
    storage(
        "no-driver", "postgresql+pg8000://me:top.secret@h/o", r"hydra.sweeper.storage=postgresql://...: its driver is"
    ),
    storage("no-other-driver", "mysql+nothing://h/o", r"hydra.sweeper.storage="),
    storage("in-memory", "sqlite://", r"hydra.sweeper.storage=sqlite://: a database that workers cannot share"),
    storage("named-memory", "sqlite:///:memory:", r"hydra.sweeper.storage=sqlite:///:memory:: a database that workers"),
    storage("other-database", "sqlite:///o.db", r"hydra.sweeper.storage=sqlite:///o.db: a database of some", _database),
    storage(
        "mlflow-database", "sqlite:///mlruns/mlflow.db", r"hydra.sweeper.storage=\S+: a database of something else"
    ),
    storage("text-as-database", "sqlite:////etc/passwd", r"hydra.sweeper.storage=\S+: file is not a database"),
    storage("folder-as-database", "sqlite:///d", r"hydra.sweeper.storage=d: a folder", lambda f: (f / "d").mkdir()),
    storage("pipe-as-database", "sqlite:///p", r"hydra.sweeper.storage=p: a named", lambda f: os.mkfifo(f / "p")),
]

SPACES = [
    space("nan", "interval(nan,1)", r"model.dropout=interval\(nan,1\): an end that is not a number"),
    space("infinite", "interval(0,inf)", r"model.dropout=interval\(0,inf\): an end that is not a number"),
    space("overflow", "interval(0,1e999)", r"model.dropout=interval\(0,1e999\): an end that is not a number"),
    space("reversed", "interval(0.5,0.1)", r"model.dropout=.*: 0.5 is more than 0.1; expected two numbers"),
    space("log-of-zero", "tag(log,interval(0,1))", r"model.dropout=.*: 0 has no logarithm; expected numbers above 0"),
    space("log-of-negative", "tag(log,range(-3,3))", r"model.dropout=.*: -3 has no logarithm"),
    space("halves-as-whole", "tag(int,interval(0.5,2.5))", r"model.dropout=.*: an end between two whole numbers"),
    space("step-of-zero", "range(0,1,0)", r"model.dropout=.*: a range with a step of 0"),
    space("empty-range", "range(3,1)", r"model.dropout=.*: an empty range"),
    space("endless-range", "range(0,inf)", r"model.dropout=.*: expected a range of finite numbers"),
    space("nan-range", "range(nan,1)", r"model.dropout=.*: expected a range of finite numbers"),
    space("range-of-a-trillion", "range(0.0,1e12)", r"model.dropout=.*1,000,000,000,000"),
    space("empty-choice", "choice()", r"model.dropout=choice\(\): an empty choice; expected"),
    space("unknown-tag", "tag(cubic,interval(0,1))", r"model.dropout=.*: unknown tag cubic; expected log or int"),
    space("words", "interval(a,b)", r".*interval\(a,b\)"),
    space("three-ends", "interval(0,0.2,0.4)", r".*interval"),
    space("glob", "glob(*)", r"model.dropout=.*; expected choice\(\)|.*glob"),
    search("space-one-value", "+hydra.sweeper.params={model.dropout:0.5}",
           "hydra.sweeper.params={model.dropout:interval(1,0)}", expected=r".*(dropout|params)"),
    search("grid-of-numbers", "hydra/sweeper/sampler=grid", expected=r"hydra.sweeper.sampler: it tries every"),
    Case("nothing-varies", ["-m", "hydra/sweeper=optuna"], r"^error: search: nothing varies"),
    Case("grid-over-interval", ["-m", SPACE], r"^error: model.dropout=\S+: a grid needs discrete values"),
    search("misspelt-key-varies", "model.dropot=interval(0,1)", expected=r".*model.dropot.*did you mean model.dropout"),
]  # fmt: skip

NAMES = [
    study("empty", "''", r"hydra.sweeper.study_name='': empty; expected a name"),
    study("blank", "'  '", r"hydra.sweeper.study_name='  ': empty"),
    study("two-lines", "'a\nb'", r"hydra.sweeper.study_name='a\\nb': contains the control character"),
    study("escape", "'a\x1b[31mb'", r"hydra.sweeper.study_name='a\\x1b\[31mb': contains the control character"),
    study("line-separator", "'a\u2028b'", r"hydra.sweeper.study_name='a\\u2028b': contains the control character"),
    study("long", "x" * 10_000, r"hydra.sweeper.study_name=.*: 10,000 characters; expected at most 200"),
    study("list", "[a]", r"hydra.sweeper.study_name=\['a'\]: expected a text or null"),
    study("truth", "true", r"hydra.sweeper.study_name=True: expected a text or null"),
    Case(
        "run-name-of-two-lines",
        ["tracking.run_name='a\nb'"],
        r"^error: tracking.run_name='a\\nb': contains the control",
    ),
    Case("run-name-long", [f"tracking.run_name={'x' * 9000}"], r"^error: tracking.run_name=.*: 9,000 characters"),
    Case("run-name-empty", ["tracking.run_name=''"], r"^error: tracking.run_name='': empty"),
]

KEYS = [
    search("unknown-key", "hydra.sweeper.trials=3", expected=r".*trials"),
    search("added-key", "+hydra.sweeper.trials=3", expected=r".*trials"),
    search("no-trials", "hydra.sweeper.n_trials=0", expected=r"hydra.sweeper.n_trials=0: expected a whole number"),
    search("half-a-trial", "hydra.sweeper.n_trials=1.5", expected=r"hydra.sweeper.n_trials=1.5: expected a"),
    search("trials-true", "hydra.sweeper.n_trials=true", expected=r"hydra.sweeper.n_trials=True: expected a whole"),
    search("trials-null", "hydra.sweeper.n_trials=null", expected=r"hydra.sweeper.n_trials=None: expected a whole"),
    search("workers-word", "hydra.sweeper.workers=all", expected=r"hydra.sweeper.workers=all: expected a whole number"),
    search("workers-million", "hydra.sweeper.workers=1000000", expected=r"hydra.sweeper.workers=1000000: expected"),
    search("failed-nan", "hydra.sweeper.max_failed=nan", expected=r"hydra.sweeper.max_failed=nan: expected a fraction"),
    search("failed-word", "hydra.sweeper.max_failed=some", expected=r"hydra.sweeper.max_failed=some: expected a fr"),
    search("retries-negative", "hydra.sweeper.max_retries=-1", expected=r"hydra.sweeper.max_retries=-1: expected"),
    search("grace-short", "hydra.sweeper.grace_period=1", expected=r"hydra.sweeper.grace_period=1: expected"),
    search("grace-word", "hydra.sweeper.grace_period=long", expected=r"hydra.sweeper.grace_period=long: expected"),
    search("time-word", "hydra.sweeper.time_limit=soon", expected=r"hydra.sweeper.time_limit=soon: expected seconds"),
    search("history-short", "hydra.sweeper.sampler_history=3", expected=r"hydra.sweeper.sampler_history=3: expected"),
    search("history-word", "hydra.sweeper.sampler_history=all", expected=r"hydra.sweeper.sampler_history=all: ex"),
    search("retries-word", "hydra.sweeper.max_retries=some", expected=r"hydra.sweeper.max_retries=some: expected"),
    search("fresh-word", "hydra.sweeper.fresh=maybe", expected=r"hydra.sweeper.fresh=maybe: expected true or false"),
    search("sampler-null", "hydra.sweeper.sampler=null", expected=r"hydra.sweeper.sampler=None: expected a class of"),
    search("sampler-without-class", "hydra.sweeper.sampler._target_=null", expected=r"hydra.sweeper.sampler=.*: exp"),
    search("sampler-no-sampler", "hydra.sweeper.sampler={_target_:optuna.pruners.NopPruner}",
           expected=r"hydra.sweeper.sampler.*(expected a class|NopPruner)"),
    search("pruner-no-pruner", "hydra.sweeper.pruner={_target_:builtins.dict}",
           expected=r"hydra.sweeper.pruner.*(expected a class|dict)"),
    search("pruner-argument", "+hydra.sweeper.pruner.nothing=1", expected=r"hydra.sweeper.pruner: .*nothing"),
    search("seed-word", "hydra.sweeper.sampler.seed=luck", expected=r"hydra.sweeper.sampler.seed=luck: exp"),
    search("direction", "search=scene_cnn", "+hydra.sweeper.search.objective={test/accuracy:up}",
           expected=r"search.objective.test/accuracy=up: expected maximize or minimize"),
    search("objective-word", "search=scene_cnn", "hydra.sweeper.search.objective=accuracy",
           expected=r".*objective"),
    search("limit-unknown", "search=scene_cnn", "+hydra.sweeper.search.limits={complexity/weight:1}",
           expected=r"search.limits.weight: not known before training"),
    search("limit-word", "search=scene_cnn", "hydra.sweeper.search.limits.complexity/parameters=few",
           expected=r"search.limits.parameters=few: expected a positive number"),
    search("limit-negative", "search=scene_cnn", "+hydra.sweeper.search.limits={complexity/parameters:-5}",
           expected=r"search.limits.parameters=-5: expected a positive number"),
    search("search-unknown", "search=scene_cn", expected=r".*scene_cn.*did you mean search=scene_cnn"),
    search("search-key", "search=scene_cnn", "+hydra.sweeper.search.limit={a:1}", expected=r"search.limit: no such"),
    search("blocks-unknown", "search=scene_cnn", "+hydra.sweeper.search.blocks={colour:'choice(1,2)'}",
           expected=r"search.blocks.colour: no such part of a block"),
    search("folder-unwritable", "hydra.sweep.dir=/proc/nowhere", expected=r"hydra.sweep.dir=/proc/nowhere: /proc is"),
]  # fmt: skip

CASES = [*STORAGES, *SPACES, *NAMES, *KEYS]
