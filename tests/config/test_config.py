"""Validation of composed configurations, with one line for each error."""

from pathlib import Path

import pytest
from hydra import compose
from hydra.errors import ConfigCompositionException

from dcase_sweep.config import (
    Experiment,
    build_front_end,
    check,
    check_single_choice,
    flatten,
    stored_configuration,
)
from dcase_sweep.config.command_line import quote_choices
from dcase_sweep.config.compose import compose_experiments, register_experiments
from dcase_sweep.config.hints import explain
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.utils.errors import UserError

pytestmark = pytest.mark.usefixtures("composes")


def composed(*overrides: str) -> Experiment:
    return check(compose("config", [*overrides]))


def test_the_defaults_are_the_recipe() -> None:
    experiment = composed("data=tau2020", "data.root=/tau")

    assert (experiment.training.epochs, experiment.training.batch_size) == (200, 16)
    assert (experiment.optimizer._target_, experiment.optimizer.eps) == ("torch.optim.Adam", 1e-7)
    assert flatten(experiment.optimizer) == {
        "_target_": "torch.optim.Adam",
        "lr": 1e-3,
        "eps": 1e-7,
        "weight_decay": 0.0,
    }
    assert experiment.training.first_best_epoch == 51  # counted from 0; StasherCallback keeps what comes after 50
    assert experiment.training.normalise_over == "train+validation"
    assert experiment.data.validation == "official"
    assert experiment.evaluation.precision is None
    assert (experiment.augmentation, experiment.callbacks) == ({}, {})


@pytest.mark.parametrize("name", ["task1a_baseline", "task1a_layer4", "task1a_layer5"])
def test_published_experiments_compose(name: str) -> None:
    experiment = composed(f"+experiment={name}", "data.root=/tau")

    assert experiment.task.name == "1a"
    assert experiment.data.name == "tau2020"


def test_the_published_mean_teacher_composes() -> None:
    experiment = composed("+experiment=task4_meanteacher_200", "data.root=/desed")

    assert (experiment.task.name, experiment.data.name, experiment.training.epochs) == ("4", "desed", 200)
    assert experiment.mean_teacher is not None
    assert experiment.mean_teacher.ramp_epochs == 50


@pytest.mark.parametrize("hardware", ["cpu", "gpu", "mps"])
@pytest.mark.parametrize("model", ["baseline_cnn", "cnn4", "cnn5", "crnn_meanteacher"])
def test_every_choice_composes(model: str, hardware: str) -> None:
    assert composed(f"model={model}", f"hardware={hardware}").hardware.accelerator == hardware


def test_depth_pools_and_dropouts_from_the_command_line() -> None:
    model = composed("model.depth=4", "model.blocks.1.pool=[4,4]", "model.dropout=0.1").model

    assert model.depth == 4
    assert model.blocks[1]["pool"] == [4, 4]
    assert [block["dropout"] for block in model.blocks] == [0.0, 0.1, 0.1]


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["+model.dropot=0.1"], "model.dropot: no such key; did you mean model.dropout?"),
        (
            ["scheduler._target_=torch.optim.lr_scheduler.StepLR", "+scheduler.step_size=1"],
            "scheduler.ramp_epochs: no such key; did you mean scheduler.last_epoch? ~scheduler.ramp_epochs removes it",
        ),
        (["+training.epoch=3"], "training.epoch: no such key; did you mean training.epochs?"),
        (["+oops.this=3"], "oops: no such key; expected one of task, data"),
        (["training.epochs=many"], "training.epochs: Value 'many'"),
        (["training.epochs=0"], "training.epochs=0: expected at least 1"),
        (["optimizer.lr=-1"], "optimizer.lr=-1.0: expected a positive number"),
        (["model.depth=deep"], "model.depth: Value 'deep'"),
        (["model.dropout=1.5"], "model.blocks[1].dropout=1.5: expected a probability"),
        (["model.blocks.2.pool=[9,100]"], "model.blocks[2].pool=[9, 100]: only 8 × 100"),
        (["front_end.n_fft=512"], "front_end.window_seconds: 1764 samples do not fit n_fft=512"),
        (["model._target_=dcase_sweep.models.cnn.CN"], "model._target_=dcase_sweep.models.cnn.CN: "),
        (["model._target_=torch.nn.Linear"], "model.depth: no such key"),
        (
            ["task._target_=dcase_sweep.tasks.sound_event_detection.SoundEventDetection"],
            "model CNN is for scenes, but task=1a is for events; choose another task or model",
        ),
        (["task._target_=dcase_sweep.models.cnn.CNN"], "task._target_=dcase_sweep.models.cnn.CNN: not a task"),
        (["task.mode=largest"], "task.mode=largest: expected max, min or null"),
        (["data=tau2020"], "data.root is not set"),
        (["hardware.precision=8-bit"], "hardware.precision=8-bit: expected one of auto"),
        (["hardware.accelerator=tpu"], "hardware.accelerator=tpu: expected one of cpu, gpu, mps"),
        (
            ["hardware=mps", "hardware.precision=16-mixed"],
            "hardware.precision=16-mixed: hardware=mps trains in float32; choose auto or 32-true",
        ),
        (
            ["hardware=mps", "hardware.graphs=true"],
            "hardware.graphs=true: CUDA graphs are for hardware=gpu; on mps leave it out",
        ),
        (["hardware.mps=true"], "hardware.mps=true: NVIDIA MPS is for hardware=gpu; on cpu leave it out"),
        (
            ["hardware=mps", "compression.quantize=true"],
            "compression.quantize=true: PyTorch has no operators of quantisation for hardware=mps; choose hardware=cpu",
        ),
        (["compression.nonzero_kib=0"], "compression.nonzero_kib=0.0: expected more than 0, or null"),
        (["compression.bits=4"], "compression.bits=4: expected one of 32, 16, 8"),
        (["compression.end=1.5"], "compression.end=1.5: expected a fraction of the training, from 0 to 1"),
        (["compression.begin=0.6"], "compression.begin=0.6: expected at most compression.end=0.5"),
        (["compression.quantize_from=0.8"], "compression.quantize_from=0.8: expected at most compression.freeze_from"),
        (
            ["compression.quantize=true", "compression.quantize_from=1", "compression.freeze_from=1"],
            "compression.quantize_from=1.0: no epoch would be quantised",
        ),
        (
            ["compression.quantize=true", "hardware.compile=true"],
            "compression.quantize=true: its layers are called with",
        ),
        (
            ["compression.nonzero_kib=126", "framework.name=tensorflow"],
            "compression.nonzero_kib=126.0: framework=tensorflow has none; choose framework=torch",
        ),
        (
            ["compression.start=run", "framework.name=tensorflow"],
            "compression.start=run: framework=tensorflow has none",
        ),
        (["training.batch_size=null"], "training.batch_size=null: expected at least 1"),
        (["seed=-1"], "seed=-1: expected from 0"),
        (["optimizer.lr=nan"], "optimizer.lr=nan: expected a finite number"),
        (["front_end.f_max=inf"], "front_end.f_max=inf: expected a finite number"),
        (["hardware.precision=16-mixed"], "hardware.precision=16-mixed: float16 is for GPUs; on a cpu choose auto"),
    ],
)
def test_rejected_in_one_line(overrides: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        composed(*overrides)

    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        (
            "mean_teacher={strong:0,weak:0}",
            "mean_teacher.strong=0, mean_teacher.weak=0: no labels in a batch, so nothing can be learned; expected",
        ),
        ("mean_teacher.ema_decay=1", "mean_teacher.ema_decay=1.0: expected 0 to below 1"),
        ("mean_teacher.consistency_weight=-1", "mean_teacher.consistency_weight=-1.0: expected at least 0"),
        ("mean_teacher.ramp_epochs=-1", "mean_teacher.ramp_epochs=-1: expected at least 0"),
        ("mean_teacher.strong=-1", "mean_teacher.strong=-1: expected at least 0"),
        ("mean_teacher.weak=-1", "mean_teacher.weak=-1: expected at least 0"),
        ("mean_teacher.unlabelled=-1", "mean_teacher.unlabelled=-1: expected at least 0"),
        ("mean_teacher.median_filter=0", "mean_teacher.median_filter=0: expected whole frames, at least 1"),
        ("mean_teacher.median_filter=7.5", "mean_teacher.median_filter=7.5: expected whole frames, at least 1"),
        ("mean_teacher.median_filter={Dog:wide}", "mean_teacher.median_filter.Dog=wide: expected whole frames"),
        ("training.batch_size=32", "training.batch_size=32: no effect on task 4, whose batches contain mean_teacher"),
        ("hardware.channels_last=false", "hardware.channels_last=false: no effect on task 4"),
        ("front_end.decibel_floor=0", "front_end.decibel_floor=0: expected at least 1e-37"),
        ("front_end.decibel_lowest=90", "front_end.decibel_lowest=90.0: expected less than decibel_highest=80.0"),
        ("+compression.nonzero_kib=126", "compression.nonzero_kib=126.0: no effect on task 4; leave it out"),
        ("+mean_teacher.ema_deca=0.9", "mean_teacher.ema_deca: no such key; did you mean mean_teacher.ema_decay?"),
    ],
)
def test_mistakes_of_task_4_are_rejected_in_one_line(override: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        composed("model=crnn_meanteacher", override)

    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_the_ramp_of_task_4_fits_the_data() -> None:
    demo = composed("model=crnn_meanteacher")
    desed = composed("model=crnn_meanteacher", "data=desed", "data.root=/desed")
    chosen = composed("model=crnn_meanteacher", "mean_teacher.ramp_epochs=9")

    settings = [each.mean_teacher for each in (demo, desed, chosen)]
    assert [each.ramp_epochs for each in settings if each] == [2, 50, 9]
    assert settings[1] is not None
    assert (settings[1].strong, settings[1].weak, settings[1].unlabelled) == (12, 12, 24)


def test_decibels_are_no_part_of_what_is_stored() -> None:
    usual, other = (composed("model=crnn_meanteacher", f"front_end.decibel_lowest={lowest}") for lowest in (-50, -80))
    finer = composed("model=crnn_meanteacher", "front_end.hop=128")

    stored = [stored_configuration(each, build_front_end(each)) for each in (usual, other, finer)]

    assert stored[0] == stored[1] != stored[2]
    assert "decibel_lowest" not in stored[0]


def test_filters_of_their_own_for_classes_are_accepted() -> None:
    settings = composed("model=crnn_meanteacher", "mean_teacher.median_filter={Dog:3,Cat:11}").mean_teacher

    assert settings is not None
    assert settings.median_filter == {"Dog": 3, "Cat": 11}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model.dropot=0.1", "model.dropot: no such key; did you mean model.dropout?"),
        ("model=cnn6", "model=cnn6: no such choice; did you mean model=cnn5? expected one of baseline_cnn, cnn4"),
        ("modle=cnn5", "modle: no such key; did you mean model?"),
        (
            "experiment=task1a_layer5",
            "experiment: nothing is chosen yet that could be replaced; write +experiment=task1a",
        ),
        ("hydra=other", "hydra=other: no such choice; write hydra.KEY=VALUE, e.g. hydra.run.dir=FOLDER"),
        ("hydra/launcher=other", "hydra/launcher=other: no such choice; expected one of "),
        (
            "hydra.sweeper.n_trials=2",
            "hydra.sweeper.n_trials: a search has this key, and a grid does not; add hydra/sweeper=optuna",
        ),
        ("+experiment=task1a_layer6", "experiment=task1a_layer6: no such choice; did you mean"),
        ("~data", "~data: an experiment needs it; data=NAME chooses another"),
        ("tracking.tags={a:b}", "tracking.tags.a: no such key; +tracking.tags.a=VALUE adds it"),
        ("tracking.tags.a=b", "tracking.tags.a: no such key; +tracking.tags.a=VALUE adds it"),
        ("training={epoch:1}", "training.epoch: no such key; did you mean training.epochs?"),
        ("model.blocks.0={filter:3}", "model.blocks.0.filter: no such key; did you mean model.blocks.0.filters?"),
        ("seed=choose(1,2)", "seed=choose(1,2): no such function; did you mean choice?"),
        (
            "seed=log(1,2)",
            "seed=log(1,2): no such function; expected choice(A,B,...), range(START,END[,STEP]), interval(",
        ),
        ("seed=choice(2,null)", "seed=choice(2,null): choice() takes no null; leave out the function: seed=null,..."),
        ("seed=interval(1)", "seed=interval(1): missing a required argument: 'end'; expected interval(LOW,HIGH)"),
        ("seed=choice(2,3", "seed=choice(2,3: cannot be read as KEY=VALUE; brackets and quotes come in pairs"),
    ],
)
def test_hydras_own_refusals_in_one_line(override: str, says: str) -> None:
    with pytest.raises(Exception, match=r".") as caught:
        compose("config", [override])

    line = explain(caught.value, [override])  # type: ignore[arg-type]
    assert line.startswith(says)
    assert "\n" not in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data=tau2020", "data.validation_fracton=0.2"], "did you mean data.validation_fraction?"),
        (["data=demo,tau2020", "data.validation_fracton=0.2"], "did you mean data.validation_fraction?"),
        (
            ["model=crnn_meanteacher", "augmentation.event_mixup.probabilty=1"],
            "did you mean augmentation.event_mixup.probability?",
        ),
        (["+experiment=task1a_layer5", "data.validation_sed=1"], "did you mean data.validation_seed?"),
        (["data=nowhere", "training.epoch=1"], "did you mean training.epochs?"),
        (["optimizer=adam", "optimizer.momentum=0.9"], "expected one of eps, lr, weight_decay"),
        (["model=crnn_meanteacher", "compression.nonzero_kib=126"], "compression is null with these choices"),
        (["model=cnn4,crnn_meanteacher", "data.train_clips=40"], "only some of these choices have it"),
        (["model=choice(cnn4,crnn_meanteacher)", "data.strong_clips=40"], "only some of these choices have it"),
    ],
)
def test_the_nearest_key_is_that_of_the_choices_made(arguments: list[str], says: str) -> None:
    key = arguments[1].partition("=")[0]

    line = explain(ConfigCompositionException(f"Could not override '{key}'."), arguments)

    assert line == f"{key}: no such key; {says}"


@pytest.mark.parametrize("group", ["augmentation", "callbacks", "logger", "metrics"])
def test_an_entry_without_a_name_is_told_how_to_get_one(group: str, tmp_path: Path) -> None:
    (tmp_path / group).mkdir()
    (tmp_path / group / "mine.yaml").write_text("_target_: mine.Part\n")

    with pytest.raises(UserError, match=rf"^{group}\._target_=mine\.Part: an entry without a name; expected NAME: in"):
        compose_experiments([f"{group}=mine"], tmp_path)


@pytest.mark.parametrize(
    ("group", "says"),
    [
        ("model", "a file can only override what is chosen before it; expected task.model: NAME in it, or model=NAME"),
        ("data", "a file can only override what is chosen before it; expected data=NAME on the command line"),
        ("modle", "nothing of this name is chosen before it; did you mean model?"),
    ],
)
def test_a_file_that_overrides_a_later_group_is_named(group: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "late.yaml").write_text(f"# @package _global_\ndefaults:\n  - override /{group}: none\n")

    with pytest.raises(UserError) as caught:
        compose_experiments(["task=late"], tmp_path)

    assert str(caught.value).startswith(f"task/late: override /{group}: {says}")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["optimizer=sgd", "optimizer.nesterov=true"],
            "optimizer.nesterov: not in the configuration of optimizer; +optimizer.nesterov=VALUE adds it",
        ),
        (
            ["scheduler=constant", "scheduler.monitor=train/loss"],
            "scheduler.monitor: not in the configuration of scheduler; +scheduler.monitor=VALUE adds it",
        ),
        (
            ["task.loss._target_=torch.nn.MultiMarginLoss", "task.loss.margin=2"],
            "task.loss.margin: not in the configuration of task.loss; +task.loss.margin=VALUE adds it",
        ),
        (
            ["task.loss._target_=torch.nn.MultiMarginLoss", "task.loss.mragin=2"],
            "task.loss.mragin: no such key; task.loss has no keys; +task.loss.NAME=VALUE adds an argument of its",
        ),
        (
            ["seed=1", "task.loss.label_smoothing=0.1"],
            "task.loss.label_smoothing: not in the configuration of task.loss; +task.loss.label_smoothing=VALUE",
        ),
        (
            ["augmentation=roll", "augmentation.mixup.alpha=0.2"],
            "augmentation.mixup.alpha: mixup is not chosen; expected augmentation=mixup, or it in a list",
        ),
        (
            ["seed=1", "metrics.macro_f1.threshold=0.2"],
            "metrics.macro_f1.threshold: macro_f1 is not chosen; expected metrics=macro_f1, or",
        ),
        (["augmentation=roll", "augmentation.mxup.alpha=0.2"], "augmentation.mxup.alpha: no such key; did you mean"),
        (
            ["optimizer=sgd", "optimizer.momentom=0.2"],
            "optimizer.momentom: no such key; did you mean optimizer.momentum?",
        ),
    ],
)
def test_a_key_that_can_be_added_is_told_from_a_misspelt_one(arguments: list[str], line: str) -> None:
    with pytest.raises(ConfigCompositionException) as caught:
        compose("config", arguments)

    assert explain(caught.value, arguments).startswith(line)


def test_a_broken_user_file_is_reported_and_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments/broken.yaml").write_text("a: [1, 2\nb: }")
    (tmp_path / "experiments/list.yaml").write_text("- a\n- b\n")
    (tmp_path / "experiments/bytes.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "experiments/mine.yaml").write_text("seed: 7\n")
    monkeypatch.chdir(tmp_path)

    register_experiments()

    warnings = capsys.readouterr().err.splitlines()
    assert [":".join(line.split(":")[:2]) for line in warnings] == [
        f"warning: {tmp_path}/experiments/{name}.yaml" for name in ("broken", "bytes", "list")
    ]
    assert composed("+experiment=mine", "data=tau2020", "data.root=/tau").seed == 7


@pytest.mark.parametrize(
    ("typed", "understood"),
    [("task=4", "task='4'"), ("task=1a,4", "task=1a,'4'"), ("task=1a", "task=1a"), ("seed=4", "seed=4")],
)
def test_a_task_that_looks_like_a_number(typed: str, understood: str) -> None:
    assert quote_choices([typed], SearchPath()) == [understood]


@pytest.mark.parametrize(
    "arguments",
    [["data.train_clips=100", "data.generator_seed=1"], ["data=demo", "data.train_clips=100", "data.generator_seed=1"]],
)
def test_the_amount_of_generated_demo_data(arguments: list[str]) -> None:
    data = composed(*arguments).data

    assert (data.train_clips, data.test_clips, data.generator_seed) == (100, 180, 1)


def test_demo_data_are_those_of_the_task_and_their_absence_is_reported() -> None:
    scenes, events = composed().data, composed("model=crnn_meanteacher").data

    assert (scenes._target_, scenes.train_clips) == ("dcase_sweep.demo.tau.DemoScenes", 300)
    assert (events._target_, events.strong_clips) == ("dcase_sweep.demo.desed.DemoSoundscapes", 60)
    with pytest.raises(UserError, match=r"data.train_clip: no such key; did you mean data.train_clips\?"):
        composed("+data.train_clip=100")
    with pytest.raises(UserError, match=r"data._target_: no value; data=demo has none for task=9"):
        composed("task.name=9", "data._target_=???")


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("seed=???", r"seed: no value \(\?\?\?\); expected one: seed=VALUE"),
        ("optimizer.lr=???", r"optimizer\.lr: no value"),
        ("hardware.threads=???", r"hardware\.threads: no value"),
        ("training.epochs=???", r"training\.epochs: no value"),
        ("~hardware", r"hardware\.accelerator: no value; expected one: hardware\.accelerator=VALUE"),
        ("~training.epochs", r"training\.epochs: no value; expected one: training\.epochs=VALUE"),
        ("~model", "model: expected a group whose _target_ names a class; found None"),
        ("model=???", r"model: no choice \(\?\?\?\); expected one of baseline_cnn, cnn4"),
    ],
)
def test_a_key_without_a_value_is_named(word: str, line: str) -> None:
    """The default of its type would be used otherwise."""
    with pytest.raises(UserError, match=f"^{line}"):
        compose_experiments([word])


def test_without_a_home_folder_the_configured_cache_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setenv("DCASE_SWEEP_CACHE", "/scratch/cache")

    experiment = composed()

    assert (experiment.store.root, experiment.data.root) == ("/scratch/cache/features", "/scratch/cache/demo")


def test_a_server_is_that_of_the_environment_or_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert composed("tracking=server").tracking.uri == "http://127.0.0.1:5000"

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://runs.example.org")
    assert composed("tracking=server").tracking.uri == "https://runs.example.org"


def test_flat_keys() -> None:
    assert flatten({"a": {"b": [1, 2]}, "c": [{"d": None}]}) == {"a.b": [1, 2], "c.0.d": None}


@pytest.mark.parametrize(
    ("override", "is_valid"),
    [
        ("augmentation=[mixup,roll]", True),
        ("augmentation=[mixup,mixup]", False),
        ("logger=[mlflow, csv, mlflow]", False),
        ("augmentation=[mixup,roll],[roll,mixup]", True),
        ("augmentation=[]", True),
    ],
)
def test_a_choice_that_is_named_twice_is_rejected(override: str, is_valid: bool) -> None:
    if is_valid:
        check_single_choice(override)
        return
    with pytest.raises(UserError, match=r"(mixup|mlflow) twice, which Hydra would merge into one; expected each name"):
        check_single_choice(override)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("compression=quantize", "compression: expected its keys, not a value; write compression.KEY=VALUE"),
        ("training=3", "training: expected its keys, not a value; write training.KEY=VALUE"),
        ("evaluation=none", "evaluation: expected its keys, not a value; write evaluation.KEY=VALUE"),
        ("model.blocks=3", "model.blocks: expected a list; write 'model.blocks=[VALUE,VALUE]'"),
    ],
)
def test_a_value_in_place_of_keys_or_of_a_list_is_explained(word: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        compose_experiments([word])

    assert str(caught.value) == says
