"""The generated soundscapes as a data set in DESED's layout, generated on first use."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dcase_sweep.data.desed import DESED
from dcase_sweep.data.events import EventData
from dcase_sweep.data.files import FileCheck, check_headers
from dcase_sweep.demo.generated import GeneratedRecordings
from dcase_sweep.demo.soundscapes import count_bytes, generate_soundscapes, is_complete


class DemoSoundscapes(GeneratedRecordings):
    """The ten classes of DESED as procedural sounds over simple backgrounds, in the five subsets of task 4.

    The same arguments give identical files.

    Args:
        name: name of the data set.
        root: folder of the generated data sets.
        validation_fraction: fraction of the weakly labelled clips to validate on.
        strong_clips: number of strongly labelled clips.
        weak_clips: number of weakly labelled clips.
        unlabeled_clips: number of unlabelled clips.
        synthetic_validation_clips: number of clips of the synthetic validation set.
        validation_clips: number of clips of the validation set.
        generator_seed: seed of the generator.
    """

    kind = "events"

    def __init__(
        self,
        *,
        name: str,
        root: str,
        validation_fraction: float = 0.1,
        strong_clips: int = 60,
        weak_clips: int = 40,
        unlabeled_clips: int = 80,
        synthetic_validation_clips: int = 20,
        validation_clips: int = 40,
        generator_seed: int = 2021,
    ) -> None:
        self.parameters = {
            "strong_clips": strong_clips,
            "weak_clips": weak_clips,
            "unlabeled_clips": unlabeled_clips,
            "synthetic_validation_clips": synthetic_validation_clips,
            "validation_clips": validation_clips,
            "seed": generator_seed,
        }
        empty = [f"{name}={value}" for name, value in self.parameters.items() if name != "seed" and value < 1]
        if empty:
            raise ValueError(f"{', '.join(empty)}: expected at least one clip in every subset")
        folder = "-".join(str(value) for value in ("soundscapes", *self.parameters.values()))
        self.root = Path(root).expanduser() / folder
        self.layout = DESED(name=name, root=str(self.root), weak_validation_fraction=validation_fraction)

    @property
    def training_clips(self) -> int:
        """Largest number of training clips."""
        return sum(self.parameters[f"{subset}_clips"] for subset in ("strong", "weak", "unlabeled"))

    @property
    def disk_bytes(self) -> int:
        return count_bytes(sum(count for name, count in self.parameters.items() if name != "seed"))

    def generate(self, on_progress: Callable[[int, int], None]) -> None:
        generate_soundscapes(self.root, **self.parameters, on_progress=on_progress)

    def is_complete(self) -> bool:
        return is_complete(self.root, **self.parameters)

    def load(self, *, check: FileCheck = check_headers) -> EventData:
        """Return the generated clips and their splits."""
        return replace(self.layout.load(check=check), is_synthetic=True)
