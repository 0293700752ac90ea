"""A tiny trained run, shared by the tests of exports."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dcase_sweep.config import build_model
from dcase_sweep.export.network import ScoringNetwork, scoring_network
from dcase_sweep.export.runs import TrainedRun
from tests.composing import composed
from tests.conftest import TINY

CLASSES = 3


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, clips: NDArray[np.float32]) -> TrainedRun:
    """A network as training leaves one: no statistic at its initial value; a third of the second kernel is pruned."""
    root = tmp_path_factory.mktemp("export")
    where = [f"data.root={root}", f"store.root={root / 'features'}", f"tracking.folder={root / 'mlruns'}"]
    experiment = composed("data=tau2020", "hardware.precision=32-true", *where, *TINY)
    rng = torch.Generator().manual_seed(1)
    network = build_model(experiment, classes=CLASSES)
    state = {}
    for name, value in network.state_dict().items():
        if name.endswith(("running_var", "1.weight", "4.weight", "9.weight")) and value.ndim == 1:
            value = 0.5 + torch.rand(value.shape, generator=rng)
        elif value.is_floating_point():
            value = value + 0.05 * torch.randn(value.shape, generator=rng)
        state[f"network.{name}"] = value
    state["network.convolutions.3.weight"].view(-1)[::3] = 0
    state["mean"] = torch.linspace(-8, -4, 40)[:, None]
    state["deviation"] = torch.linspace(1, 2, 40)[:, None]
    network.load_state_dict({name.removeprefix("network."): state[name] for name in state if "network" in name})
    with torch.inference_mode():
        logits = network.eval()((torch.from_numpy(clips) - state["mean"]) / state["deviation"])
    # Decisions that differ from clip to clip.
    state["network.head.4.bias"] = state["network.head.4.bias"] - logits.mean(dim=0)
    return TrainedRun("tiny", "0" * 32, "baseline_cnn", experiment, state, None, None)


@pytest.fixture(scope="session")
def network(run: TrainedRun) -> ScoringNetwork:
    """The float network of the run."""
    return scoring_network(run, classes=CLASSES)


@pytest.fixture(scope="session")
def clips() -> NDArray[np.float32]:
    """Log-mel maps ``[clip, mel, frame]``, each of another colour."""
    rng = np.random.default_rng(2)
    slopes = rng.normal(0, 0.1, (12, 1, 1)) * np.arange(40)[None, :, None]
    return (-6 + slopes + rng.normal(0, 1.5, (12, 40, 50))).astype(np.float32)


@pytest.fixture(scope="session")
def expected(network: ScoringNetwork, clips: NDArray[np.float32]) -> NDArray[np.float32]:
    """The float network's probabilities ``[clip, class]``."""
    with torch.inference_mode():
        scores: NDArray[np.float32] = network(torch.from_numpy(clips)[..., None]).numpy()
    return scores


@pytest.fixture
def checkpoint(run: TrainedRun, tmp_path: Path) -> Path:
    """The folder of a finished run, with its checkpoint."""
    from dcase_sweep.config import flatten

    folder = tmp_path / "outputs/2026-01-01/00-00-00"
    (folder / "checkpoints").mkdir(parents=True)
    extra = {"configuration": flatten(run.experiment), "choices": {"model": run.model}, "run_id": run.id}
    torch.save({"state_dict": run.state, "dcase_sweep": extra}, folder / "checkpoints/best.ckpt")
    return folder
