"""Configurations of checkpoints and of a study as written by the last version before the component groups."""

import json
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("earlier_configurations.json")
#: The words of the commands that wrote them, by what they wrote.
WORDS: dict[str, list[str]] = {
    "1a": [
        *("front_end.seconds=1", "training.batch_size=8", "training.keep_from=0", "hardware.threads=1"),
        *("model.blocks.2.pool=[4,5]", "data.train_clips=40", "data.test_clips=20", "training.epochs=60"),
        "augmentation.mixup_alpha=0.3",
    ],
    "4": [
        *("task=4", "model=crnn_meanteacher", "front_end.seconds=1", "hardware.threads=1", "model.filters=[4,8]"),
        *("model.pools=[[8,2],[8,2]]", "model.recurrent_units=8", "front_end.n_mels=64", "data.strong_clips=12"),
        *("data.weak_clips=20", "data.unlabeled_clips=12", "data.synthetic_validation_clips=6"),
        *("data.validation_clips=10", "mean_teacher.strong=2", "mean_teacher.weak=2", "mean_teacher.unlabelled=2"),
        "training.epochs=40",
    ],
    "study": [
        *("front_end.seconds=1", "training.batch_size=8", "training.epochs=1", "training.keep_from=0"),
        *("hardware.threads=1", "model.blocks.2.pool=[4,5]", "data.train_clips=40", "data.test_clips=20"),
    ],
}


def read_earlier(name: str) -> dict[str, Any]:
    """The flattened configuration of a checkpoint, or the signature of a study."""
    content: dict[str, Any] = json.loads(_FILE.read_text())[name]
    return content
