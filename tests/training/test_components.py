"""Components of a user's own project: one Python file and one YAML each, chosen from the command line."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.utils.errors import UserError
from tests.conftest import CommandLine

MODULE = """
import torch
from pytorch_lightning import Callback


def add_noise(features, targets, rng, *, std):
    noise = torch.from_numpy(rng.normal(0, std, tuple(features.shape))).to(features)
    return features + noise, targets


def forget_targets(features, targets, rng):
    return features


def add_noise_in_double(features, targets, rng):
    return features + torch.from_numpy(rng.normal(0, 0.1, tuple(features.shape))), targets


class InTraining(torch.nn.Module):
    kind = "scenes"

    def __init__(self, *, input_shape, classes):
        super().__init__()
        self.layer = torch.nn.Linear(input_shape[0], classes)

    def forward(self, features):
        if self.training:
            raise RuntimeError("no such gain")
        return self.layer(features.mean(2))


class Detached(InTraining):
    def forward(self, features):
        return self.layer(features.mean(2)).detach()


class WithoutModule(Callback):
    def on_train_epoch_end(self, trainer):
        pass


def layerwise(parameters, lr):
    return torch.optim.SGD(parameters, lr=lr)


def always_worse(scores, targets):
    return 0.0


always_worse.larger_is_better = False


def every_epoch_half(optimizer, *, steps_per_epoch, factor=0.5):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor ** (step // steps_per_epoch))


class FocalLoss(torch.nn.Module):
    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, logits, targets):
        probabilities = logits.softmax(1).gather(1, targets[:, None])
        return (-(1 - probabilities) ** self.gamma * probabilities.log()).mean()


class RateInFile(Callback):
    def __init__(self, path: str) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer, module):
        with open(self.path, "a") as file:
            print(trainer.current_epoch, trainer.optimizers[0].param_groups[0]["lr"], file=file)
"""
FILES = {
    "optimizer/layerwise.yaml": "_target_: my_parts.layerwise\nlr: 0.25\n",
    "scheduler/plateau.yaml": "_target_: torch.optim.lr_scheduler.ReduceLROnPlateau\npatience: 0\nfactor: 0.5\n",
    "augmentation/forgetful.yaml": "forgetful:\n  _target_: my_parts.forget_targets\n  _partial_: true\n",
    "augmentation/double.yaml": "double:\n  _target_: my_parts.add_noise_in_double\n  _partial_: true\n",
    "model/in_training.yaml": "_target_: my_parts.InTraining\n",
    "model/detached.yaml": "_target_: my_parts.Detached\n",
    "callbacks/without_module.yaml": "mine:\n  _target_: my_parts.WithoutModule\n",
    "optimizer/radam.yaml": "_target_: torch.optim.RAdam\n_partial_: true\nlr: 2e-3\nbetas: [0.8, 0.99]\n",
    "scheduler/halved.yaml": "_target_: my_parts.every_epoch_half\n_partial_: true\ninterval: step\nfactor: 0.5\n",
    "augmentation/noise.yaml": "noise:\n  _target_: my_parts.add_noise\n  _partial_: true\n  std: 0.1\n",
    "callbacks/rates.yaml": "rates:\n  _target_: my_parts.RateInFile\n  path: rates.txt\n",
}
ACCUMULATION = "+callbacks.sums={_target_:pytorch_lightning.callbacks.GradientAccumulationScheduler,scheduling:{0:2}}"


@pytest.fixture(scope="module")
def project(command_line: CommandLine) -> CommandLine:
    """A command line in the folder of a user's project."""
    (command_line.folder / "my_parts.py").write_text(MODULE)
    for name, text in FILES.items():
        path = command_line.folder / "conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return command_line


def last_checkpoint(output: str, project: CommandLine) -> dict[str, object]:
    folder = re.findall(r"^run +.* · (\S+)$", output, re.MULTILINE)[-1]
    content: dict[str, object] = torch.load(project.folder / folder / "checkpoints/last.ckpt", weights_only=True)
    return content


def test_optimizer_scheduler_augmentation_loss_and_callback_of_ones_own(
    project: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    chosen = ["optimizer=radam", "optimizer.lr=0.004", "scheduler=halved", "augmentation=[noise,roll]"]
    loss = ["task.loss._target_=my_parts.FocalLoss", "+task.loss.gamma=1.5"]

    output = project("--config-dir", "conf", *tiny(*chosen, *loss, "callbacks=rates"))

    assert (project.folder / "rates.txt").read_text().splitlines() == ["0 0.002", "1 0.001"]
    content = last_checkpoint(output, project)
    assert content["dcase_sweep"]["choices"]["augmentation"] == "noise,roll"  # type: ignore[index]
    (group,) = content["optimizer_states"][0]["param_groups"]  # type: ignore[index]
    assert (group["initial_lr"], list(group["betas"])) == (0.004, [0.8, 0.99])
    configuration = content["dcase_sweep"]["configuration"]  # type: ignore[index, call-overload]
    assert configuration["task.loss.gamma"] == 1.5
    assert [key for key in configuration if key.startswith("augmentation.") and key.endswith("_target_")] == [
        "augmentation.noise._target_",
        "augmentation.roll._target_",
    ]


def test_any_optimizer_of_pytorch_by_its_name(project: CommandLine, tiny: Callable[..., list[str]]) -> None:
    output = project(*tiny("optimizer._target_=torch.optim.NAdam", "training.epochs=1"))

    (group,) = last_checkpoint(output, project)["optimizer_states"][0]["param_groups"]  # type: ignore[index]
    assert "momentum_decay" in group  # of NAdam alone


def test_an_optimizer_of_a_function_and_the_tasks_metric_for_a_plateau(
    project: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    metric = ["+metrics.worse._target_=my_parts.always_worse", "task.monitor=validation/worse"]
    chosen = ["--config-dir", "conf", "optimizer=layerwise", "scheduler=plateau", *metric]

    (state,) = last_checkpoint(project(*chosen, *tiny("training.epochs=3")), project)["lr_schedulers"]  # type: ignore[misc]

    assert (state["mode"], state["_last_lr"]) == ("min", [0.125])  # the second epoch is not better
    output = project("--config-dir", "conf", "augmentation=[roll,forgetful]", *tiny(), code=1)
    assert "error: augmentation: number 2 of 2 returned a Tensor; expected features and targets" in output
    output = project("--config-dir", "conf", "augmentation=double", *tiny(), code=1)
    assert "number 1 of 1 returned features of type torch.float64; expected torch.float32" in output


def test_a_network_that_fails_in_training_is_named_with_its_line(
    project: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    words = [word for word in tiny() if not word.startswith("model.")]

    output = project(*words[:1], "--config-dir", "conf", "model=in_training", *words[1:], code=1)

    assert re.search(r"^error: model: no such gain \(my_parts\.InTraining, my_parts\.py, line \d+\)$", output, re.M)
    assert "Traceback" not in output


def test_outputs_without_a_gradient_and_a_hook_without_an_argument_are_named(
    project: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    words = [word for word in tiny() if not word.startswith("model.")]

    output = project(*words[:1], "--config-dir", "conf", "model=detached", *words[1:], code=1)
    assert "error: model._target_=my_parts.Detached: the loss does not depend on its parameters (no gradient)" in output

    output = project("--config-dir", "conf", "callbacks=without_module", *tiny(), code=1)
    assert (
        "error: callbacks.mine._target_=my_parts.WithoutModule: its on_train_epoch_end takes (trainer); expected "
        "(trainer, pl_module), as Lightning calls it" in output
    )
    assert "features" not in output


def test_schedules_and_augmentations_are_swept_over(project: CommandLine, tiny: Callable[..., list[str]]) -> None:
    output = project("-m", *tiny("scheduler=constant,cosine", "augmentation=none,mixup", "training.epochs=1"))

    assert len(re.findall(r"^run ", output, re.MULTILINE)) == 4
    for choice in ("scheduler=cosine", "augmentation=mixup"):
        assert choice.partition("=")[2] in output


def test_early_stopping_ends_a_training_and_an_epoch_is_kept(
    project: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    stop = ["callbacks=early_stopping", "callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=2"]

    output = project(*tiny(*stop, "training.epochs=20", "training.best_after_fraction=0.5"))

    assert "training  2 epochs in" in output
    assert "epoch 2 kept" in output
    assert "ended before epoch 11" in output


def test_averaged_weights_are_those_that_are_validated_and_kept(
    project: CommandLine, tiny: Callable[..., list[str]]
) -> None:
    averaging = ["callbacks=weight_averaging", "callbacks.weight_averaging.start_fraction=0.25"]

    output = project(*tiny(*averaging, "training.epochs=4", "training.best_after_fraction=0.75"))

    content = last_checkpoint(output, project)
    folder = Path(re.findall(r"^run +.* · (\S+)$", output, re.MULTILINE)[-1])
    best = torch.load(project.folder / folder / "checkpoints/best.ckpt", weights_only=True)
    assert int(content["averaging_state"]["n_averaged"]) == 3  # type: ignore[index, call-overload]
    name = "network.head.1.weight"
    assert torch.equal(best["state_dict"][name], content["state_dict"][name])  # type: ignore[index]
    assert not torch.equal(best["state_dict"][name], content["current_model_state"][name])  # type: ignore[index]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["optimizer=adan"], "optimizer=adan: no such choice; did you mean optimizer=adam"),
        (["optimizer._target_=torch.optim.SGD"], "optimizer.eps: no such key; expected one of lr"),
        (["optimizer._target_=torch.nn.Linear"], "optimizer._target_=torch.nn.Linear: not an optimizer"),
        (["+optimizer.betas=[2,0.9]"], "optimizer: Invalid beta parameter at index 0: 2"),
        (
            ["scheduler=warmup_cosine", "scheduler.warmup_epochs=-1"],
            "scheduler.warmup_epochs=-1.0: expected at least 0",
        ),
        (["scheduler.interval=week"], "scheduler.interval=week: expected one of step, epoch"),
        (
            ["augmentation=event_mixup"],
            "augmentation.event_mixup: is for batches of events; task 1a has batches of clips",
        ),
        (["augmentation=mixup", "augmentation.mixup.alpha=-1"], "augmentation.mixup.alpha=-1.0: expected at least 0"),
        (["augmentation=mixup", "+augmentation.mixup.beta=1"], "augmentation.mixup.beta: no such key"),
        (["+augmentation.noise._target_=torch.nn.Nothing"], "augmentation.noise._target_=torch.nn.Nothing"),
        (["+callbacks.mine._target_=torch.nn.Linear"], "callbacks.mine._target_=torch.nn.Linear: not a callback"),
        (
            ["+callbacks.swa={_target_:pytorch_lightning.callbacks.StochasticWeightAveraging,swa_lrs:0.1}"],
            "callbacks.swa._target_=pytorch_lightning.callbacks.StochasticWeightAveraging: averages after",
        ),
        (
            [ACCUMULATION, "scheduler=cosine"],
            "callbacks.sums._target_=pytorch_lightning.callbacks.GradientAccumulationScheduler: takes fewer steps",
        ),
        (
            ["+callbacks.mine={_target_:torch.nn.init.calculate_gain,nonlinearity:relu}"],
            "callbacks.mine._target_=torch.nn.init.calculate_gain: made a float; expected a callback",
        ),
        (
            ["+augmentation.noise={_target_:torch.nn.init.normal_,mean:1}"],
            "augmentation.noise.tensor: no value; expected one for torch.nn.init.normal_, or _partial_: true if it is",
        ),
        (["task.loss._target_=torch.nn.CrossEntropyLos"], "task.loss._target_=torch.nn.CrossEntropyLos: "),
    ],
)
def test_mistakes_are_reported_in_one_line_before_any_data_are_read(words: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        compose_experiments(["data=tau2020", "data.root=/nowhere", *words])

    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_filters_that_need_more_bands_than_the_front_end_has_are_rejected() -> None:
    words = ["task=4", "augmentation=filter_augment", "augmentation.filter_augment.narrowest=30"]

    with pytest.raises(UserError) as caught:
        compose_experiments(words)

    assert str(caught.value).startswith(
        "augmentation.filter_augment.bands=[3, 5]: 5 bands of narrowest=30 take 150 mel bands; the front end has 128"
    )
    assert compose_experiments([*words, "augmentation.filter_augment.bands=[2,4]"])


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ([], {"augmentation": "none", "metrics": "none"}),
        (["metrics=macro_f1"], {"augmentation": "none", "metrics": "macro_f1"}),
        (
            ["metrics=[macro_f1,cohen_kappa]", "augmentation=[roll,mixup]", "~augmentation.roll"],
            {"augmentation": "mixup", "metrics": "macro_f1,cohen_kappa"},
        ),
    ],
)
def test_the_choices_of_groups_of_several_are_recorded(words: list[str], chosen: dict[str, str]) -> None:
    (composed,) = compose_experiments(words)

    assert {group: composed.choices[group] for group in chosen} == chosen
