"""Keys that have no effect beside the other settings are named, and others are not."""

import pytest
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.initialize import initialize_config_dir

from dcase_sweep.config import Experiment, check, flatten, idle_keys
from dcase_sweep.config.folders import conf_folder
from tests.composing import composed

TASK_4 = "model=crnn_meanteacher"
RESPONSE = ("augmentation=device_response", "front_end.store=false")


@pytest.fixture(autouse=True)
def _first_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_keys, "_noticed", set())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([TASK_4, "model.recurrent_layers=1", "model.recurrent_dropout=0.3"], "it is between recurrent layers, of"),
        (["optimizer=sgd", "training.adam_eps=1e-5"], "the optimizer has no eps"),
        (["optimizer.eps=1e-3", "training.adam_eps=1e-5"], "optimizer.eps=0.001 is set"),
        (["scheduler.interval=epoch"], "the learning rate is constant"),
        (["compression.quantize=true", "compression.end=0.3"], "nothing is pruned; set compression.nonzero_kib"),
        (["compression.nonzero_kib=60", "compression.freeze_from=0.9"], "nothing is quantized; set compression."),
        (["compression.bits=8"], "nothing is compressed"),
        ([*RESPONSE, "augmentation.device_response.seconds=0.2"], "it is for responses from a folder"),
        ([TASK_4, "evaluation.scenario1.cttc=0.5"], "evaluation.scenario1.alpha_ct=0"),
        (["tracking.energy_country=DEU"], "nothing is measured; set tracking.energy=true"),
        (["logger=none", "+tracking.tags.author=me"], "the run is not logged to MLflow; set logger=mlflow"),
        (["data=tau2020", "data.root=.", "data.validation_list=mine.csv", "data.validation_seed=3"], "data.validation"),
    ],
)
def test_the_last_word_has_no_effect(words: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    composed_with_hydra(*words)
    composed_with_hydra(*words)

    (line,) = capsys.readouterr().err.splitlines()  # once in a process
    assert line.startswith(f"note: {words[-1].lstrip('+')}: no effect; {reason}")


@pytest.mark.parametrize(
    "words",
    [
        [TASK_4, "model.recurrent_dropout=0.3"],
        [TASK_4, "scheduler.interval=epoch"],
        [TASK_4, "evaluation.scenario2.cttc=0.5"],
        ["training.adam_eps=1e-5"],
        ["scheduler=cosine", "scheduler.interval=epoch"],
        ["compression.nonzero_kib=60", "compression.end=0.3", "compression.bits=8"],
        ["compression.quantize=true", "compression.freeze_from=0.9", "compression.bits=8"],
        [*RESPONSE, "augmentation.device_response.decibels=3"],
        ["+tracking.tags.author=me", "tracking.timeout=3"],
        ["logger=[csv,mlflow]", "tracking.experiment=mine"],
        ["data=tau2020", "data.root=.", "data.validation_seed=3"],
    ],
)
def test_each_word_has_an_effect(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    composed_with_hydra(*words)

    assert "no effect" not in capsys.readouterr().err


def test_with_a_published_checkpoint_nothing_is_trained() -> None:
    experiment = composed(TASK_4)
    assert experiment.mean_teacher is not None
    experiment.mean_teacher.checkpoint = "baseline.ckpt"

    for key in ("training.epochs", "optimizer", "augmentation.event_mixup.alpha", "mean_teacher.ema_decay"):
        assert idle_keys.find_reason(experiment, key) == "mean_teacher.checkpoint is evaluated, and nothing is trained"
    for key in ("mean_teacher.median_filter", "model.filters", "hardware.precision"):
        assert idle_keys.find_reason(experiment, key) is None


def test_every_pattern_is_of_a_key_of_a_task() -> None:
    flat = {*keys(), *keys(TASK_4), *keys(*RESPONSE), *keys("data=tau2020", "data.root=.")}
    names = [pattern for pattern, _ in idle_keys._REASONS if not set(pattern) & {"*", "?"}]

    assert [name for name in names if name not in flat] == []


def keys(*words: str) -> set[str]:
    return set(flatten(composed(*words)))


def composed_with_hydra(*words: str) -> Experiment:
    """Return the experiment of a command line, of which Hydra tells what was typed."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return check(compose("config", [*words], return_hydra_config=True))


def test_dropout_between_the_layers_of_one_is_named_if_a_file_sets_it(
    capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    experiment = composed(TASK_4, "model.recurrent_layers=1", "model.recurrent_dropout=0.3")
    capsys.readouterr()
    idle_keys._noticed.clear()

    idle_keys.note_idle_keys(experiment, ["model.recurrent_layers=1"])

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: model.recurrent_dropout=0.3: no effect; it is between recurrent layers")
    assert not [each for each in recwarn if "dropout option" in str(each.message)]
