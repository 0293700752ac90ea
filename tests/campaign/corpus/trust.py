"""Files that are not trusted, configuration files that are broken, and folders that are not ours to write to."""

import os
import pickle
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from tests.campaign.cases import Case


@cache
def configuration() -> dict[str, Any]:
    """Return the flattened configuration of a run of the baseline."""
    from dcase_sweep.config import flatten
    from tests.composing import composed

    return flatten(composed("data=tau2020", "data.root=/tau")) | {"seed": 0, "store.root": "/s"}


class Runs:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


def checkpoint(folder: Path, name: str = "best.ckpt", **changed: Any) -> Path:
    """A checkpoint with other values: of the configuration by dotted keys, of the record and the file by name."""
    import torch

    record = {"configuration": configuration() | changed.pop("flat", {}), "choices": {"model": "baseline_cnn"}}
    content = {"state_dict": {"network.a.bias": torch.ones(10)}, "epoch": 3, "dcase_sweep": record}
    record |= changed.pop("record", {})
    content |= changed
    torch.save(content, folder / name)
    return folder / name


def weights(folder: Path, value: float) -> None:
    """A checkpoint with a weight of this value."""
    import torch

    state = {"network.a": torch.full((3,), value), "mean": torch.ones(40, 1), "deviation": torch.ones(40, 1)}
    checkpoint(folder, state_dict=state)


def expanded(folder: Path) -> None:
    """A tensor of terabytes on a storage of four bytes."""
    import torch

    checkpoint(folder, state_dict={"network.a": torch.ones(1).expand(10**6, 10**6)})


def script(folder: Path) -> None:
    """TorchScript, which holds code."""
    import torch

    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), str(folder / "best.ckpt"))


def packed(folder: Path) -> None:
    """An archive that unpacks to a thousand times its size."""
    with zipfile.ZipFile(checkpoint(folder)) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / "best.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in records.items():
            archive.writestr(name, data + bytes(10**7))


def cut(folder: Path) -> None:
    """The first half of a checkpoint."""
    path = checkpoint(folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write(folder: Path, name: str, text: str | bytes) -> None:
    """A file of this content."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def fifo(folder: Path, name: str) -> None:
    """A pipe that nobody writes to."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(folder / name)


def link(folder: Path) -> None:
    """A demo folder of ours whose recordings are elsewhere."""
    from dcase_sweep.demo import scenes

    write(folder, "demo/scenes-300-180-2021/README.txt", scenes.README)
    (folder / "mine").mkdir()
    (folder / "demo/scenes-300-180-2021/audio").symlink_to(folder / "mine")


Prepare = Callable[[Path], object]


def export(name: str, prepare: Prepare | None, expected: str, *more: str, run: str = "{folder}/best.ckpt") -> Case:
    """An export of a file that is none of ours, or worse."""
    return Case(f"export-{name}", ["export", "onnx", f"run={run}", "data.root=/tau", *more], expected, prepare=prepare)


def changed(**flat: Any) -> Prepare:
    """A checkpoint whose configuration has these values, ``__`` for a dot."""
    return partial(checkpoint, flat={key.replace("__", "."): value for key, value in flat.items()})


NOT_OURS = "not a class of dcase_sweep, and a file is not trusted to name code"
CHECKPOINTS = [
    export("front-end-of-another", changed(front_end___target_="os.system"), f"front_end._target_=os.*: {NOT_OURS}"),
    export("model-of-another", changed(model___target_="pip._internal.main"), f"model._target_=pip.*: {NOT_OURS}"),
    export("data-of-another", changed(data___target_="subprocess.Popen"), f"data._target_=subprocess.*: {NOT_OURS}"),
    export("name-that-begins-alike", changed(model___target_="dcase_sweep_x.models.Y"), NOT_OURS),
    export("class-of-another-kind", changed(model___target_="dcase_sweep.audio.log_mel.LogMel"), NOT_OURS),
    export("model-that-is-none", changed(model___target_="dcase_sweep.models.cnn.Block"), "not a network"),
    export("nested-target", partial(checkpoint, flat={"model.blocks.0._target_": "os.system"}), "name code"),
    export("partial", partial(checkpoint, flat={"front_end._partial_": True}), "name code"),
    export("interpolation", changed(task__title="${oc.env:HOME}"), r"task.title=.* would be resolved"),
    export("absolute-list", changed(data__validation_list="/etc/passwd"), "not trusted to choose files to read"),
    export("list-above", changed(data__validation_list="../../x.csv"), "not trusted to choose files to read"),
    export("control-characters", changed(task__title="a\x1b[2Jb"), "task.title is not printable text"),
    export("key-and-group", partial(checkpoint, flat={"seed.a": 1}), "^error: run="),
    export(
        "configuration-of-a-list", partial(checkpoint, record={"configuration": [1]}), "its configuration is a list"
    ),
    export("run-id-of-a-path", partial(checkpoint, record={"run_id": "../../x"}), "run_id is not the ID of a run"),
    export("choices-of-lines", partial(checkpoint, record={"choices": {"model": "a\nb"}}), "choices is not names"),
    export("epoch-of-text", partial(checkpoint, epoch="three"), "epoch is a str"),
    export("no-weights", partial(checkpoint, state_dict=None), "state_dict is missing"),
    export("record-of-text", partial(checkpoint, dcase_sweep="x"), "dcase_sweep is a str"),
    export("weight-nan", partial(weights, value=float("nan")), "network.a holds NaN or infinity"),
    export("weight-infinite", partial(weights, value=float("-inf")), "network.a holds NaN or infinity"),
    export("tensor-of-terabytes", expanded, "larger than its storage"),
    export("pickled-call", partial(checkpoint, other=Runs()), r"not a checkpoint of this project \(UnpicklingError\)"),
    export("plain-pickle", partial(write, name="best.ckpt", text=pickle.dumps(Runs())), "not an archive of PyTorch"),
    export("torchscript", script, "a TorchScript archive, which holds code"),
    export("packed", packed, "its archive is compressed"),
    export("cut", cut, "not an archive of PyTorch"),
    export("text", partial(write, name="best.ckpt", text="hello"), "not an archive of PyTorch"),
    export("fifo", partial(fifo, name="best.ckpt"), "no checkpoints/best.ckpt there"),
    export("empty-name", None, "run=: no value", run=""),
    export("empty-folder", checkpoint, "folder=: no value", "folder="),
    Case(
        "export-recordings-of-the-file",
        ["export", "onnx", "run={folder}/best.ckpt"],
        r"trained on the recordings in /tau; .* add data.root=/tau",
        prepare=checkpoint,
    ),
    Case("cost-of-another", ["complexity", "best.ckpt"], NOT_OURS, prepare=changed(front_end___target_="os.system")),
    Case("cost-of-other-weights", ["complexity", "best.ckpt"], "not of the network of its conf", prepare=checkpoint),
    Case(
        "cost-of-another-class",
        ["complexity", "best.ckpt", "model._target_=my.Net"],
        "the file was made with dcase_sweep.models.cnn.CNN; expected the same class",
        prepare=checkpoint,
    ),
    Case("cost-of-depth", ["complexity", "best.ckpt"], "model.depth", prepare=changed(model__depth=10**8)),
    Case("resume-pickle", ["resume=best.ckpt"], "not a checkpoint to continue", prepare=partial(checkpoint, o=Runs())),
    Case("resume-epoch", ["resume=best.ckpt"], "epoch is a list", prepare=partial(checkpoint, epoch=[1])),
    Case("resume-other", ["resume=best.ckpt"], "made by another configuration", prepare=checkpoint),
    Case("resume-empty", ["resume="], "resume='': empty"),
    Case("start-pickle", ["compression.start=best.ckpt"], "not a checkpoint", prepare=partial(checkpoint, o=Runs())),
    Case("start-nan", ["compression.start=best.ckpt"], "NaN or inf", prepare=partial(weights, value=float("nan"))),
    Case("start-no-mean", ["compression.start=best.ckpt"], "no mean of its features", prepare=checkpoint),
    Case("start-script", ["compression.start=best.ckpt"], "TorchScript", prepare=script),
    Case(
        "published-script",
        ["model=crnn_meanteacher", "mean_teacher.checkpoint=best.ckpt"],
        "not a PyTorch checkpoint .a TorchScript archive",
        prepare=script,
    ),
    Case(
        "published-nan",
        ["model=crnn_meanteacher", "mean_teacher.checkpoint=best.ckpt"],
        "holds NaN or infinity",
        prepare=partial(weights, value=float("nan")),
    ),
    Case("rerun", ["--experimental-rerun", "config.pickle"], "would run code from a file"),
    Case("rerun-short", ["--exp=config.pickle"], "would run code from a file"),
]


def conf(name: str, text: str | bytes, expected: str) -> Case:
    """A broken file under ``--config-dir``."""
    prepare = partial(write, name="conf/model/mine.yaml", text=text)
    return Case(f"conf-{name}", ["--config-dir", "conf", "model=mine"], f"^error: .*{expected}", prepare=prepare)


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 15))
MERGED = "a0: &a0 {k: v}\n" + "".join(f"a{i}: &a{i} {{<<: *a{i - 1}, k{i}: *a{i - 1}}}\n" for i in range(1, 40))
FILES = [
    conf("syntax", "a: [1\nb: 2\n", r"mine.yaml: line 2: "),
    conf("twice", "_target_: x\n_target_: y\n", r"mine.yaml: line 2: found duplicate key _target_"),
    conf("binary", bytes(range(256)), r"mine.yaml: not text in UTF-8"),
    conf("tag", "a: !!python/object/apply:os.system [echo]\n", r"mine.yaml: line 1: could not determine a constructor"),
    conf("itself", "a: &a [*a]\n", r"mine.yaml: line 1: the alias \*a is within its own anchor"),
    conf("bomb", BOMB, r"mine.yaml: [\d,]+ values with its aliases expanded"),
    conf("merged-bomb", MERGED, r"mine.yaml: [\d,]+ values with its aliases expanded"),
    conf("huge", "a: " + "x" * 3_000_000, r"mine.yaml: 2,930 KiB, more than 256 KiB"),
    conf("deep", "a: " + "[" * 9000, r"mine.yaml: line 1: nested more than 50 levels deep"),
    conf("list", "- a\n", r"mine.yaml: no keys and values"),
    conf("two-documents", "a: 1\n---\nb: 2\n", r"mine.yaml: line 2: a second document"),
    conf("defaults", "defaults: 3\n", r"mine.yaml: defaults is not a list"),
    conf("several", "defaults:\n  - /data: [demo, desed]\n", r"mine.yaml: /data: .* not one choice"),
    conf("round", "defaults:\n  - mine\n", "refers to itself without end"),
    conf("references", "_target_: x.Y\ndepth: ${model.units}\nunits: ${model.depth}\n", "model"),
    Case(
        "conf-fifo",
        ["--config-dir", "conf", "model=mine"],
        "model=mine: no such choice",
        prepare=partial(fifo, name="conf/model/mine.yaml"),
    ),
    Case(
        "experiment-bomb",
        ["complexity", "model=cnn4"],
        r"^warning: .*/experiments/mine.yaml: [\d,]+ values .*; skipped$",
        code=0,
        prepare=partial(write, name="experiments/mine.yaml", text=BOMB),
    ),
    Case(
        "experiment-fifo",
        ["complexity", "model=cnn4"],
        r"^warning: .*/experiments/mine.yaml: not a file.*; skipped$",
        code=0,
        prepare=partial(fifo, name="experiments/mine.yaml"),
    ),
    Case("chdir", ["hydra.job.chdir=true"], "hydra.job.chdir=true: relative paths"),
    Case("chdir-sweep", ["-m", "hydra.job.chdir=true", "seed=0,1"], "hydra.job.chdir=true: relative paths"),
]
CHOICES = [
    Case("several-models", ["model=[cnn4,cnn5]"], r"model=\[cnn4,cnn5\]: not one choice; .* -m model=NAME,NAME"),
    Case("several-models-swept", ["-m", "model=[cnn4,cnn5],cnn4"], "not one choice"),
    Case("several-models-cost", ["complexity", "model=[cnn4,cnn5]"], "not one choice"),
    Case("several-hardware", ["hardware=[cpu,gpu]"], "not one choice"),
    Case("several-tasks", ["task=[1a,4]"], "not one choice"),
    Case("several-experiments", ["+experiment=[task1a_layer4,task1a_layer5]"], "not one choice"),
    Case("several-sweepers", ["hydra/sweeper=[grid,optuna]"], "not one choice"),
    Case("no-model", ["model="], "^error: model=: empty"),
    Case("model-of-a-number", ["model=4"], "model=4: no such choice"),
    Case("learner-of-another", ["framework.learners.scenes=os.system"], "not a class; expected a learner"),
    Case("learner-that-is-none", ["framework.learners.scenes=collections.OrderedDict"], "not a learner"),
    Case("model-class-of-another-kind", ["model._target_=collections.OrderedDict"], "not a network"),
    Case("empty-store", ["store.root="], "store.root='': empty"),
    Case("blank-folder", ["tracking.folder=' '"], "tracking.folder=' ': empty"),
    Case("empty-experiment", ["tracking.experiment="], "tracking.experiment='': empty"),
    Case("empty-uri", ["tracking.uri="], "tracking.uri='': empty"),
    Case("empty-data-root", ["data.root="], "data.root='': empty"),
    Case("empty-run-folder", ["hydra.run.dir="], "hydra.run.dir=: empty"),
    Case("empty-study", ["search=scene_cnn", "hydra.sweeper.study_name="], "study_name=: empty"),
    Case(
        "limit-nan",
        ["search=scene_cnn", "+hydra.sweeper.search.limits={complexity/parameters:nan}"],
        "limits.parameters=nan: expected a positive number",
    ),
    Case("threshold-nan", ["model=crnn_meanteacher", "evaluation.f1_threshold=nan"], "f1_threshold=nan: expected"),
    Case("scenario-nan", ["model=crnn_meanteacher", "evaluation.scenario2.dtc=nan"], "dtc=nan: expected"),
    Case("decay-nan", ["model=crnn_meanteacher", "mean_teacher.ema_decay=nan"], "mean_teacher.ema_decay=nan: expected"),
    Case("median-nan", ["model=crnn_meanteacher", "mean_teacher.median_filter={Speech: .nan}"], "median_filter"),
    Case("threshold-flag-nan", ["evaluate", "events", "a", "b", "c", "--f1-threshold", "nan"], "--f1-threshold nan"),
    Case("demo-in-system", ["data.root=/etc"], "data.root=/etc: /etc is a folder of the operating system"),
    Case("demo-in-root", ["data.root=/"], "data.root=/: / is a folder of the operating system"),
    Case("store-in-system", ["store.root=/proc/self"], "store.root=/proc/self: .*operating system"),
    Case("runs-in-system", ["tracking.folder=/usr/lib/x"], "tracking.folder=/usr/lib/x: .*operating system"),
    Case("database-in-system", ["tracking.uri=sqlite:////etc/x.db"], "tracking.uri=/etc: .*operating system"),
    Case("run-in-system", ["hydra.run.dir=/etc/dcase"], "hydra.run.dir=/etc/dcase: .*operating system"),
    Case(
        "demo-in-own-folder",
        ["data.root=mine"],
        r"data.root=mine: holds 'meta.csv', which the demo generator did not make",
        prepare=partial(write, name="mine/meta.csv", text="filename\n"),
    ),
    Case("demo-in-file", ["data.root=mine"], "data.root=mine: a file", prepare=partial(write, name="mine", text="x")),
    Case(
        "demo-over-others",
        ["data.root=demo"],
        "contains files that were not generated",
        prepare=partial(write, name="demo/scenes-300-180-2021/generator.json", text="{}"),
    ),
    Case("demo-through-a-link", ["data.root=demo"], "audio: a link to .*/mine", prepare=link),
]
CASES = [*CHECKPOINTS, *FILES, *CHOICES]
