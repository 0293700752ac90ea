"""A training step as a graph: on a CPU the same step is taken without the recording, so all but that is tested here.

`test_on_gpu.py` compares recorded steps with others where there is a GPU.
"""

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from torch import Tensor

from dcase_sweep.config import Experiment, Hardware, Monitor
from dcase_sweep.config.schemas import Training
from dcase_sweep.models.cnn import CNN
from dcase_sweep.training.augmentation.clips import Mixup
from dcase_sweep.training.batches import Batches, Clips
from dcase_sweep.training.capturable import describe_obstacle
from dcase_sweep.training.fitting import Fitted, fit
from dcase_sweep.training.optimization import Optimization
from dcase_sweep.training.scenes.module import SceneModule
from dcase_sweep.training.step_graph import WARM_UP, StepGraph, StepValues

SHAPE, CLASSES, EPOCHS, CLIPS = (4, 8), 3, 3, 14  # three batches of four and one of two
COSINE = {"_target_": "dcase_sweep.training.schedules.cosine", "interval": "step"}


class Tiny:
    """A tiny network and its clips, always the same."""

    def __init__(self, optimizer: str = "Adam", **settings: Any) -> None:
        torch.manual_seed(5)
        blocks = [{"filters": 4, "kernel": [3, 3], "pool": [2, 2], "dropout": 0.2}] * 2
        self.module = SceneModule(
            CNN(input_shape=SHAPE, classes=CLASSES, blocks=blocks, units=6),
            classes=CLASSES,
            mean=torch.zeros(SHAPE[0]),
            deviation=torch.ones(SHAPE[0]),
            optimization=Optimization(
                {"_target_": f"torch.optim.{optimizer}", "lr": 0.01} | settings,
                COSINE,
                epochs=EPOCHS,
                steps_per_epoch=4,
            ),
            loss=torch.nn.CrossEntropyLoss(),
            augmentations=[Mixup(0.3)],
            seed=5,
        )
        features = torch.randn(CLIPS, *SHAPE).numpy()
        self.clips = Clips(features, torch.arange(CLIPS).numpy(), torch.arange(CLIPS).numpy() % CLASSES)
        self.losses: list[float] = []

    def fit(self, folder: Path, *, graphs: bool, epochs: int = EPOCHS, resume: Path | None = None) -> Fitted:
        self.module.graphs = graphs
        step = self.module.training_step

        def noted(*arguments: Any) -> Tensor:
            loss = step(*arguments)
            self.losses.append(float(loss.detach()))
            return loss

        self.module.training_step = noted  # type: ignore[method-assign]
        return fit(
            self.module,
            Batches(self.clips, 4, shuffle_seed=5),
            Batches(self.clips, 4),
            Experiment(
                training=Training(epochs=epochs, batch_size=4, best_after_fraction=0.0),
                hardware=Hardware(accelerator="cpu", precision="32-true"),
            ),
            folder,
            monitor=Monitor("validation/loss", "min"),
            extra={},
            on_epoch=lambda epoch, metrics: None,
            resume=resume,
        )

    def logits(self) -> Tensor:
        with torch.no_grad():
            made: Tensor = self.module.eval()(self.clips.features)
        return made


@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [("Adam", {}), ("AdamW", {"weight_decay": 0.1}), ("SGD", {"momentum": 0.9}), ("RAdam", {})],
)
def test_the_step_of_a_graph_gives_the_losses_of_lightnings(
    optimizer: str, settings: dict[str, float], tmp_path: Path
) -> None:
    plain, graph = Tiny(optimizer, **settings), Tiny(optimizer, **settings)

    plain.fit(tmp_path / "plain", graphs=False)
    graph.fit(tmp_path / "graph", graphs=True)

    assert len(plain.losses) == len(graph.losses) == 4 * EPOCHS
    assert graph.losses == pytest.approx(plain.losses, rel=1e-4)
    torch.testing.assert_close(graph.logits(), plain.logits(), rtol=1e-2, atol=1e-3)


def test_a_training_with_graphs_is_continued_without_and_the_other_way(tmp_path: Path) -> None:
    whole = Tiny()
    whole.fit(tmp_path / "whole", graphs=False)

    for graphs in (True, False):
        folder = tmp_path / str(graphs)
        Tiny().fit(folder, graphs=graphs, epochs=2)
        rest = Tiny()
        rest.fit(folder / "rest", graphs=not graphs, resume=folder / "last.ckpt")

        assert rest.losses == pytest.approx(whole.losses[8:], rel=1e-3)
        saved = torch.load(folder / "rest/last.ckpt", weights_only=True)["optimizer_states"][0]
        assert [saved["param_groups"][0][name] for name in ("capturable", "fused")] == [False, None]
        assert isinstance(saved["param_groups"][0]["lr"], float)


def test_a_step_after_a_failed_recording_has_the_weights_and_the_memory_of_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Autocast keeps the weights that it has converted, but those of a recording are never computed."""

    def first_loss(*, fails: bool) -> float:
        torch.manual_seed(1)
        network, features, targets = torch.nn.Linear(6, 3), torch.randn(8, 6), torch.arange(8) % 3
        handled: list[BaseException | None] = []

        def compute(features: Tensor) -> StepValues:
            handled.append(sys.exception())
            loss = torch.nn.functional.cross_entropy(network(features).float(), targets)
            return StepValues(loss, loss.detach().reshape(1))

        def record(inputs: tuple[Tensor, ...], key: Any) -> None:
            with torch.no_grad():
                network.weight.mul_(100)
            network(*inputs)
            with torch.no_grad():
                network.weight.div_(100)
            raise RuntimeError("operation not permitted when stream is capturing")

        graph = StepGraph(compute, torch.optim.Adam(network.parameters()), network, can_record=False)
        if fails:
            graph.can_record, graph._warm = True, WARM_UP
            monkeypatch.setattr(graph, "_record", record)
        with torch.autocast("cpu", torch.bfloat16):
            loss = float(graph((features,), {}).loss)
        assert not graph.can_record
        assert handled == [None]  # a handled error would keep the tensors of the recording
        return loss

    assert first_loss(fails=True) == pytest.approx(first_loss(fails=False), rel=1e-3)


def test_a_copy_of_a_module_has_no_graph(tmp_path: Path) -> None:
    tiny = Tiny()
    copies: list[SceneModule] = []

    class Copies(Callback):
        def on_train_epoch_end(self, trainer: Any, module: LightningModule) -> None:
            assert module.step_graph is not None
            copies.append(copy.deepcopy(module.step_graph))  # type: ignore[arg-type]

    experiment = Experiment(
        training=Training(epochs=1, batch_size=4, best_after_fraction=0.0),
        hardware=Hardware(accelerator="cpu", precision="32-true"),
    )
    tiny.module.graphs = True
    from dcase_sweep.training.lightning import make_trainer

    trainer = make_trainer(experiment.hardware, epochs=1, folder=tmp_path, callbacks=[Copies()])
    trainer.fit(tiny.module, Batches(tiny.clips, 4, shuffle_seed=5), Batches(tiny.clips, 4))

    assert copies == [None]


class Clips_(Callback):
    """A callback that changes gradients."""

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)


@pytest.mark.parametrize(
    ("callback", "obstacle", "says"),
    [
        (Clips_(), None, "the callback Clips_ has a hook within the step (on_before_optimizer_step)"),
        (GradientAccumulationScheduler({0: 2}), None, "GradientAccumulationScheduler accumulates gradients"),
        (Callback(), "compression.quantize changes the network", "compression.quantize changes the network"),
    ],
)
def test_a_step_that_cannot_be_recorded_is_reported_in_one_line_and_trained_without_a_graph(
    callback: Callback, obstacle: str | None, says: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from dcase_sweep.training.lightning import make_trainer

    tiny = Tiny()
    tiny.module.graphs, tiny.module.obstacle = True, obstacle
    trainer = make_trainer(
        Hardware(accelerator="cpu", precision="32-true"), epochs=1, folder=tmp_path, callbacks=[callback]
    )

    trainer.fit(tiny.module, Batches(tiny.clips, 4, shuffle_seed=5), Batches(tiny.clips, 4))

    assert tiny.module.step_graph is None
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("graphs")]
    assert lines == [f"graphs    not used: {says}; hardware.graphs=false hides this line"]


@pytest.mark.parametrize(
    ("optimizer", "says"),
    [
        (torch.optim.Adam, None),
        (torch.optim.AdamW, None),
        (torch.optim.SGD, None),
        (torch.optim.NAdam, None),
        (torch.optim.Adagrad, "Adagrad cannot be recorded"),
        (torch.optim.LBFGS, "LBFGS cannot be recorded"),
    ],
)
def test_which_optimizers_can_be_recorded(optimizer: Any, says: str | None) -> None:
    assert describe_obstacle(optimizer([torch.nn.Parameter(torch.ones(1))], lr=0.1)) == says


def test_a_learning_rate_that_is_a_tensor_already_is_left_to_its_owner() -> None:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(1))], lr=torch.tensor(0.1), foreach=False)

    assert describe_obstacle(optimizer) == "the learning rate of Adam is a tensor"


@pytest.mark.parametrize("looks_always", [True, False])
def test_a_change_of_the_network_is_seen_before_the_next_step_or_where_it_is_looked_for(looks_always: bool) -> None:
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    graph = StepGraph(lambda: None, optimizer, network, can_record=False, looks_always=looks_always)  # type: ignore
    before = graph._key()

    network.weight.requires_grad_(False)
    assert (graph._key() != before) == looks_always
    graph.look_again()
    assert graph._key() != before

    seen = graph._key()
    optimizer.param_groups[0]["momentum"] = 0.5
    assert graph._key() != seen
