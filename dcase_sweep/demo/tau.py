"""The generated scenes as a data set in TAU's layout, generated on first use."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dcase_sweep.data.files import FileCheck, check_headers
from dcase_sweep.data.scenes import SceneData
from dcase_sweep.data.tau import TAU
from dcase_sweep.demo.generated import GeneratedRecordings
from dcase_sweep.demo.scenes import count_bytes, generate_scenes, is_complete


class DemoScenes(GeneratedRecordings):
    """Ten TAU scenes as procedural sound textures, recorded by nine simulated devices.

    The same arguments give identical files. With two locations in a city, ``validation=official`` would hold out half
    of the training clips, so ``balanced`` is the default.

    Args:
        name: name of the data set.
        root: folder of the generated data sets.
        validation: rule for the choice of clips to validate on: ``official`` or ``balanced``, see `TAU`.
        validation_fraction: fraction of the clips of each scene to validate on.
        train_clips: number of clips to train and validate on.
        test_clips: number of clips to test on.
        generator_seed: seed of the generator.
    """

    kind = "scenes"
    class_noun = "scene"

    def __init__(
        self,
        *,
        name: str,
        root: str,
        validation: str = "balanced",
        validation_fraction: float = 0.3,
        train_clips: int = 300,
        test_clips: int = 180,
        generator_seed: int = 2021,
    ) -> None:
        if train_clips < 20 or test_clips < 10:
            raise ValueError(
                f"train_clips={train_clips}, test_clips={test_clips}: expected at least 20 and 10 (2 and 1 per scene)"
            )
        folder = f"scenes-{train_clips}-{test_clips}-{generator_seed}"
        self.root = Path(root).expanduser() / folder
        self.parameters = {"train_clips": train_clips, "test_clips": test_clips, "seed": generator_seed}
        self.layout = TAU(
            name=name, root=str(self.root), validation=validation, validation_fraction=validation_fraction
        )

    @property
    def training_clips(self) -> int:
        """Largest number of training clips."""
        return self.parameters["train_clips"]

    @property
    def disk_bytes(self) -> int:
        return count_bytes(self.parameters["train_clips"] + self.parameters["test_clips"])

    def generate(self, on_progress: Callable[[int, int], None]) -> None:
        generate_scenes(self.root, **self.parameters, on_progress=on_progress)

    def is_complete(self) -> bool:
        return is_complete(self.root, **self.parameters)

    def load(self, *, check: FileCheck = check_headers) -> SceneData:
        """Return the generated recordings and their splits."""
        return replace(self.layout.load(check=check), is_synthetic=True)
