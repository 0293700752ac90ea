"""The generated scenes as a data set: made on first use, then read like any other in TAU's layout."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dcase_sweep.data.files import FileCheck, check_headers
from dcase_sweep.data.scenes import SceneData
from dcase_sweep.data.tau import TAU
from dcase_sweep.demo.generation import check_demo_root, check_room, generate_once
from dcase_sweep.demo.scenes import count_bytes, generate_scenes, is_complete


class DemoScenes:
    """Ten TAU scenes as procedural sound textures, recorded by nine simulated devices.

    The same arguments give the same bytes. Two processes that start at once generate it once. With two locations in a
    city, ``validation=official`` would hold out half of the training clips, so that ``balanced`` is the default.
    """

    kind = "scenes"

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
                f"train_clips={train_clips}, test_clips={test_clips}: expected at least 20 and 10, two and one a scene"
            )
        folder = f"scenes-{train_clips}-{test_clips}-{generator_seed}"
        self.root = Path(root).expanduser() / folder
        self.parameters = {"train_clips": train_clips, "test_clips": test_clips, "seed": generator_seed}
        self.layout = TAU(
            name=name, root=str(self.root), validation=validation, validation_fraction=validation_fraction
        )

    @property
    def training_clips(self) -> int:
        """How many clips there are to train on, at most."""
        return self.parameters["train_clips"]

    @property
    def disk_bytes(self) -> int:
        """Bytes of all recordings."""
        return count_bytes(self.parameters["train_clips"] + self.parameters["test_clips"])

    def check_room(self) -> None:
        """Refuse more recordings than the disk has room for.

        Raises:
            UserError: in one line, with what they take and what is free.
        """
        check_room(self.root, self.disk_bytes)

    def check_root(self) -> None:
        """Refuse a ``root`` that holds anything but generated data sets.

        Raises:
            UserError: in one line, with what was found.
        """
        check_demo_root(self.root.parent)

    def prepare(self, on_progress: Callable[[int, int], None]) -> None:
        """Generate what is not there yet."""
        self.check_root()

        def generate() -> None:
            self.check_room()
            generate_scenes(self.root, **self.parameters, on_progress=on_progress)

        generate_once(self.root, is_complete=lambda: is_complete(self.root, **self.parameters), generate=generate)

    def load(self, *, check: FileCheck = check_headers) -> SceneData:
        """The generated recordings and their splits."""
        return replace(self.layout.load(check=check), is_synthetic=True)
