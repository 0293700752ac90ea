"""Settings of the official recipes that cannot be: validation split, normalisation, kept epoch, float16, resumption."""

import threading
from collections.abc import Callable
from pathlib import Path

from tests.campaign.cases import Case
from tests.layout import make_tau, read_table, write_table

TAU = ("data=tau2020", "data.root={folder}/tau")
#: An experiment that is short where it gets as far as training.
TINY = (
    "data.seconds=1",
    "model.blocks.2.pool=[4,5]",
    "training.epochs=2",
    "training.batch_size=4",
    "hardware.threads=1",
)
#: Hydra composes one configuration at a time, and cases are prepared by several threads.
_COMPOSING = threading.Lock()
LIST = "evaluation_setup/fold1_validation.csv"


def tau(folder: Path) -> None:
    """A tiny data set in TAU's layout."""
    make_tau(folder / "tau")


def with_list(text: str | bytes) -> Callable[[Path], None]:
    """The data set with a list of clips to validate on."""

    def prepare(folder: Path) -> None:
        tau(folder)
        (folder / "tau" / LIST).write_bytes(text.encode() if isinstance(text, str) else text)

    return prepare


def with_training_rows(wanted: Callable[[str], bool]) -> Callable[[Path], None]:
    """The data set with a list of some of its training clips."""

    def prepare(folder: Path) -> None:
        tau(folder)
        rows = read_table(folder / "tau/evaluation_setup/fold1_train.csv")
        write_table(folder / "tau" / LIST, [row for row in rows if wanted(row["filename"])])

    return prepare


def one_location(folder: Path) -> None:
    """The data set with a single location in each scene's training clips."""
    tau(folder)
    path = folder / "tau/evaluation_setup/fold1_train.csv"
    write_table(path, [row for row in read_table(path) if row["filename"].split("-")[2].endswith("0")])


def list_is_a_folder(folder: Path) -> None:
    tau(folder)
    (folder / "tau" / LIST).mkdir()


def checkpoint(*overrides: str, without: tuple[str, ...] = ()) -> Callable[[Path], None]:
    """A ``last.ckpt`` of an experiment on the data set, of a version that did not have some keys."""

    def prepare(folder: Path) -> None:
        import torch

        from dcase_sweep.config import flatten
        from tests.composing import composed

        with _COMPOSING:
            experiment = composed("data=tau2020", f"data.root={folder}/tau", *TINY, *overrides)
        flat = {key: value for key, value in flatten(experiment).items() if key not in without}
        state = {"state_dict": {"mean": torch.zeros(1)}, "optimizer_states": [{}], "callbacks": {"BestCheckpoint": {}}}
        extra = {"configuration": flat, "run_id": "r"}
        torch.save({**state, "dcase_sweep": extra, "epoch": 0}, folder / "last.ckpt")

    return prepare


RESUME = (*TAU, *TINY, "resume={folder}/last.ckpt")
FORMER = ("data.validation=balanced", "training.normalise_over=train", "training.best_after_fraction=0.25")
NEW_KEYS = ("data.validation", "training.normalise_over", "evaluation.precision")
TASK_4 = ("model=crnn_meanteacher",)
RULES = r"expected one of official, balanced$"

CASES = [
    # --- the validation split -----------------------------------------------------------------------------------
    Case("rule-misspelt", [*TAU, "data.validation=offical"], rf"^error: data\.validation=offical: {RULES}"),
    Case("rule-in-capitals", [*TAU, "data.validation=Official"], rf"^error: data\.validation=Official: {RULES}"),
    Case("rule-empty", [*TAU, "data.validation=''"], r"^error: data\.validation='': empty; expected"),
    Case("rule-number", [*TAU, "data.validation=1"], rf"^error: data\.validation=1: {RULES}"),
    Case("rule-null", [*TAU, "data.validation=null"], r"^error: data\.validation: "),
    Case("rule-list", [*TAU, "data.validation=[official,balanced]"], r"^error: data\.validation: "),
    Case("rule-of-the-demo", ["data.validation=offical"], rf"^error: data\.validation=offical: {RULES}"),
    Case("rule-of-desed", [*TASK_4, "+data.validation=official"], r"^error: data\.validation: no such key"),
    Case("rule-key-misspelt", [*TAU, "+data.validations=official"], r"^error: data\.validations: .*data\.validation"),
    Case("share-of-nothing", [*TAU, "data.validation_fraction=0"], r"^error: data\.validation_fraction=0"),
    Case("share-of-all", [*TAU, "data.validation_fraction=1"], r"^error: data\.validation_fraction=1"),
    Case("share-negative", [*TAU, "data.validation_fraction=-0.3"], r"^error: data\.validation_fraction=-0\.3"),
    Case("share-in-percent", [*TAU, "data.validation_fraction=30"], r"^error: data\.validation_fraction=30"),
    Case("share-nan", [*TAU, "data.validation_fraction=nan"], r"^error: data\.validation_fraction=nan"),
    Case("share-text", [*TAU, "data.validation_fraction=third"], r"^error: data\.validation_fraction: .*third"),
    Case("seed-fraction", [*TAU, "data.validation_seed=0.5"], r"^error: data\.validation_seed: .*0\.5"),
    Case("seed-negative", [*TAU, "data.validation_seed=-1"], r"^error: data\.validation_seed=-1: expected"),
    Case("seed-huge", [*TAU, "data.validation_seed=1e30"], r"^error: data\.validation_seed"),
    Case(
        "one-location-a-scene",
        [*TAU, *TINY],
        r"^error: .*no location can be held out.*data\.validation_list",
        prepare=one_location,
    ),
    Case(
        "list-missing",
        [*TAU, *TINY, "data.validation_list=none.csv"],
        r"none\.csv: no such file; expected a tab-separated table with filename",
        prepare=tau,
    ),
    Case("list-a-folder", [*TAU, *TINY, f"data.validation_list={LIST}"], r"fold1_validation", prepare=list_is_a_folder),
    Case(
        "list-without-filenames",
        [*TAU, *TINY, f"data.validation_list={LIST}"],
        r"fold1_validation\.csv: no column filename; found file",
        prepare=with_list("file\naudio/bus-paris-00-0-a.wav\n"),
    ),
    Case(
        "list-empty",
        [*TAU, *TINY, f"data.validation_list={LIST}"],
        r"fold1_validation\.csv: a header without rows",
        prepare=with_list("filename\n"),
    ),
    Case(
        "list-binary",
        [*TAU, *TINY, f"data.validation_list={LIST}"],
        r"fold1_validation\.csv: is not UTF-8 text",
        prepare=with_list(b"\xff\xfe\x00\x80filename\n"),
    ),
    Case(
        "list-of-a-test-clip",
        [*TAU, *TINY, f"data.validation_list={LIST}"],
        r"row 2: audio/bus-lyon-03-0-a\.wav is not a training clip",
        prepare=with_list("filename\naudio/bus-lyon-03-0-a.wav\n"),
    ),
    Case(
        "list-of-everything",
        [*TAU, *TINY, f"data.validation_list={LIST}"],
        r"holds out every training clip",
        prepare=with_training_rows(lambda name: True),
    ),
    Case(
        "list-of-half-a-location",
        [*TAU, *TINY, f"data.validation_list={LIST}"],
        r"is held out, but other clips of its location .* are trained on",
        prepare=with_training_rows(lambda name: name.endswith("-0-a.wav")),
    ),
    # --- normalisation and the kept epoch -----------------------------------------------------------------------
    Case(
        "normalise-over-misspelt",
        [*TAU, "training.normalise_over=all"],
        r"^error: training\.normalise_over=all: expected one of train\+validation, train$",
    ),
    Case(
        "normalise-over-turned-round",
        [*TAU, "training.normalise_over=validation+train"],
        r"^error: training\.normalise_over=validation\+train: expected one of train\+validation, train$",
    ),
    Case("normalise-over-null", [*TAU, "training.normalise_over=null"], r"^error: training\.normalise_over: "),
    Case("normalise-over-list", [*TAU, "training.normalise_over=[train]"], r"^error: training\.normalise_over: "),
    Case(
        "normalise-over-in-task-4",
        [*TASK_4, "+training.normalise_over=train+validation"],
        r"^error: training\.normalise_over=train\+validation: no effect on task 4",
    ),
    Case(
        "keep-from-the-end",
        [*TAU, "training.best_after_fraction=1"],
        r"^error: training\.best_after_fraction=1\.0: expected",
    ),
    Case(
        "keep-from-before-the-start",
        [*TAU, "training.best_after_fraction=-0.1"],
        r"^error: training\.best_after_fraction=-0\.1: expected",
    ),
    Case(
        "keep-from-an-epoch",
        [*TAU, "training.best_after_fraction=51"],
        r"^error: training\.best_after_fraction=51(\.0)?: expected",
    ),
    Case(
        "keep-from-nan",
        [*TAU, "training.best_after_fraction=nan"],
        r"^error: training\.best_after_fraction=nan: expected",
    ),
    Case(
        "keep-from-text", [*TAU, "training.best_after_fraction=half"], r"^error: training\.best_after_fraction: .*half"
    ),
    # --- the test stage -----------------------------------------------------------------------------------------
    Case("precision-32", [*TAU, "evaluation.precision=32"], r"^error: evaluation\.precision=32: expected 16 or null$"),
    Case("precision-8", [*TAU, "evaluation.precision=8"], r"^error: evaluation\.precision=8: expected 16 or null$"),
    Case("precision-by-name", [*TAU, "evaluation.precision=float16"], r"^error: evaluation\.precision: .*float16"),
    Case("precision-fraction", [*TAU, "evaluation.precision=16.5"], r"^error: evaluation\.precision: .*16\.5"),
    Case(
        "precision-misspelt",
        [*TAU, "+evaluation.precison=16"],
        r"^error: evaluation\.precison: .*did you mean evaluation\.precision\?",
    ),
    Case(
        "precision-of-task-4",
        [*TASK_4, "+evaluation.precision=16"],
        r"^error: evaluation\.precision: no such key; expected one of thresholds",
    ),
    Case(
        "thresholds-in-task-1a",
        [*TAU, "+evaluation.thresholds=50"],
        r"^error: evaluation\.thresholds: no such key; expected one of precision$",
    ),
    Case(
        "precision-beside-int8",
        [*TAU, "evaluation.precision=16", "compression.quantize=true"],
        r"^error: evaluation\.precision=16: compression\.quantize=true",
    ),
    # --- task 4 -------------------------------------------------------------------------------------------------
    Case("range-turned-round", [*TASK_4, "front_end.scaled_to=[1,0]"], r"^error: front_end\.scaled_to=\[1\.0, 0\.0\]"),
    Case("range-of-one-number", [*TASK_4, "front_end.scaled_to=[1]"], r"^error: front_end\.scaled_to=\[1\.0\]"),
    Case("range-no-list", [*TASK_4, "front_end.scaled_to=1"], r"^error: front_end\.scaled_to"),
    Case("range-of-words", [*TASK_4, "front_end.scaled_to=[low,high]"], r"^error: front_end\.scaled_to.*low"),
    Case(
        "range-of-nan",
        [*TASK_4, "front_end.scaled_to=[nan,1]"],
        r"^error: front_end\.scaled_to=nan: expected a finite number$",
    ),
    Case("range-in-task-1a", [*TAU, "+front_end.scaled_to=[0,1]"], r"^error: front_end\.scaled_to: no such key"),
    # --- resumption ---------------------------------------------------------------------------------------------
    Case(
        "resume-an-older-run-by-the-present-rules",
        RESUME,
        r"^error: resume=.*data\.validation was 'balanced', is 'official'.*: add data\.validation=balanced "
        r"training\.best_after_fraction=0\.25 training\.normalise_over=train$",
        prepare=checkpoint(*FORMER, without=NEW_KEYS),
    ),
    Case(
        "resume-with-another-split",
        [*RESUME, "data.validation=balanced"],
        r"^error: resume=.*data\.validation was 'official', is 'balanced'.*: add data\.validation=official$",
        prepare=checkpoint(),
    ),
    Case(
        "resume-with-another-normalisation",
        [*RESUME, "training.normalise_over=train"],
        r"^error: resume=.*training\.normalise_over was 'train\+validation', is 'train'",
        prepare=checkpoint(),
    ),
    Case(
        "resume-with-another-kept-epoch",
        [*RESUME, "training.best_after_fraction=0"],
        r"^error: resume=.*training\.best_after_fraction was 0\.255, is 0\.0",
        prepare=checkpoint(),
    ),
    Case(
        "resume-without-epochs",
        RESUME,
        r"^error: resume=.*training\.epochs was None, is \d",
        prepare=checkpoint(without=("training.epochs",)),
    ),
]
