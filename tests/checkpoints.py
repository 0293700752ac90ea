"""Checkpoints of untrained networks for tests."""

from collections.abc import Sequence
from pathlib import Path

import torch

import dcase_sweep
from dcase_sweep.config import build_front_end, build_model, flatten

#: Clips of one second, so that a recording of a few has several windows.
SCENES = ("data.seconds=1", "model.blocks.2.pool=[4,5]")
EVENTS = (
    "model=crnn_meanteacher",
    "model.filters=[4,8]",
    "model.pools=[[8,2],[8,2]]",
    "model.recurrent_units=8",
    "front_end.n_mels=64",
    "data.seconds=1",
)
SCENE_CLASSES = ("bus", "park", "tram")


def write_checkpoint(
    path: Path,
    overrides: Sequence[str],
    classes: Sequence[str],
    *,
    prefix: str = "network.",
    names: bool = True,
    config_dir: Path | None = None,
    seed: int = 1,
) -> Path:
    """Write ``best.ckpt`` as a run of these overrides leaves it, with random weights.

    Args:
        path: of the file.
        overrides: of the command line.
        classes: in the order of the network's outputs.
        prefix: under which a training step keeps its network.
        config_dir: a project's folder of configurations.
        seed: of the weights.
        names: whether the checkpoint names its classes, as those of earlier versions do not.
    """
    experiment = dcase_sweep.compose(list(overrides), config_dir=config_dir)
    torch.manual_seed(seed)
    network = build_model(experiment.settings, classes=len(classes))
    bands = build_front_end(experiment.settings).shape[0]
    state = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    state |= {"mean": torch.full((bands, 1), -5.0), "deviation": torch.full((bands, 1), 2.0), "std": torch.tensor(2.0)}
    extra = {
        "run_id": None,
        "configuration": flatten(experiment.settings),
        "choices": experiment.choices,
        "history": {},
        **({"classes": list(classes)} if names else {}),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": state, "epoch": 0, "dcase_sweep": extra}, path)
    return path
