"""A synthetic data set in the layout of TAU Urban Acoustic Scenes 2020 Mobile, generated in seconds.

`generate_scenes` writes the data set; `is_complete` checks whether it exists. Cities, devices and splits follow TAU:
all clips of a location are in the same split, one city and devices s4 to s6 occur only in the test split, most training
clips come from device a, and several devices record the same segment.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dcase_sweep.demo.devices import record_with
from dcase_sweep.demo.generation import (
    GeneratedFolder,
    are_whole,
    in_parallel,
    is_whole,
    table_text,
    wav_bytes,
    write_text,
    write_wav,
)
from dcase_sweep.demo.recipes import RECIPES, record
from dcase_sweep.demo.rendering import Grid

#: Increased when the recordings for the same parameters change.
VERSION = 1
SUBTYPE = "PCM_24"
SMALLEST_SAMPLE_RATE = 8_000

SCENES = tuple(sorted(RECIPES))
_LISTS = (
    "meta.csv",
    *(f"evaluation_setup/fold1_{name}.csv" for name in ("train", "test", "evaluate")),
)
TRAINING_CITIES = ("barcelona", "helsinki", "lisbon", "london", "lyon")
TEST_CITIES = (*TRAINING_CITIES, "milan")
#: Locations per scene and city in the training split. The test split has one.
TRAINING_LOCATIONS = 2
#: The devices that record the successive segments of a scene. Two thirds of the training clips come from device a, and
#: each round of the test list contains every device twice.
TRAINING_DEVICES = tuple(("a", other)[:count] for other in ("b", "s1", "c", "s2", "s3") for count in (1, 2))
TEST_DEVICES = (
    ("a", "s1", "s4"),
    ("b", "s2", "s5"),
    ("c", "s3", "s6"),
    ("a", "s2", "s6"),
    ("b", "s3", "s4"),
    ("c", "s1", "s5"),
)

README = """Synthetic acoustic scenes
=========================

Nothing in this folder was recorded: every sound was synthesised by the demo generator of dcase_sweep. The folder only
has the layout, and the names of scenes, cities and devices, of TAU Urban Acoustic Scenes 2020 Mobile, so that
everything can be tried without a download. Results are not representative of real scenes.

You can delete the recordings at any time. They are generated again with the parameters in generator.json.
"""


@dataclass(frozen=True, slots=True)
class _Parameters:
    version: int
    train_clips: int
    test_clips: int
    seed: int
    seconds: float
    sample_rate: int

    def __post_init__(self) -> None:
        for name in ("train_clips", "test_clips"):
            if getattr(self, name) < len(SCENES):
                raise ValueError(f"demo scenes: {name} is {getattr(self, name)}; expected at least {len(SCENES)}")
        if self.seed < 0:
            raise ValueError(f"demo scenes: seed is {self.seed}; expected 0 or more")
        if self.seconds < 0.5:
            raise ValueError(f"demo scenes: seconds is {self.seconds}; expected at least 0.5")
        if self.sample_rate < SMALLEST_SAMPLE_RATE:
            raise ValueError(f"demo scenes: sample_rate is {self.sample_rate}; expected {SMALLEST_SAMPLE_RATE} or more")

    @property
    def grid(self) -> Grid:
        return Grid(round(self.seconds * self.sample_rate), self.sample_rate)


@dataclass(frozen=True, slots=True)
class _Segment:
    """One segment at one location, recorded by one or more devices."""

    scene: str
    city: str
    location: int
    number: int
    devices: tuple[str, ...]

    def filename(self, device: str) -> str:
        return f"audio/{self.scene}-{self.city}-{self.location}-{self.number}-{device}.wav"


def generate_scenes(
    root: Path,
    *,
    train_clips: int = 300,
    test_clips: int = 180,
    seed: int = 2021,
    seconds: float = 10.0,
    sample_rate: int = 44_100,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `audio/`, `meta.csv`, `evaluation_setup/fold1_{train,test,evaluate}.csv` and a README.txt under `root`.

    The recordings are mono WAV files of 24 bits. The same parameters give the same recordings, independent of the
    number of `workers` (threads, by default one per core). Another processor or library may round the last bits
    differently. Multiples of 150 training clips and 90 test clips balance scenes and devices exactly.

    An interrupted generation is continued, and recordings with other parameters are replaced. The caller must prevent
    two processes from generating into one folder. `on_progress(done, total)` is called after every segment with numbers
    of clips.

    Raises:
        ValueError: for fewer clips than scenes, a negative seed, less than half a second, or a sample rate below 8 kHz.
        UserError: if `root` contains a data set that this generator did not write.
    """
    parameters = _Parameters(VERSION, train_clips, test_clips, seed, seconds, sample_rate)
    folder = _folder(root, parameters)
    is_replaced = folder.has_other_parameters
    folder.begin()
    if is_replaced:
        _remove_old_recordings(root)
    (root / "audio").mkdir(exist_ok=True)
    training, test = _plan(parameters)
    in_parallel(
        lambda segment: _write_segment(root, parameters, segment),
        training + test,
        workers=workers,
        on_progress=on_progress,
        clips=lambda segment: len(segment.devices),
    )
    for name, text in _lists(training, test).items():
        write_text(root / name, text)
    folder.finish()


def count_bytes(clips: int, *, seconds: float = 10.0, sample_rate: int = 44_100) -> int:
    """Return the size of this number of recordings in bytes."""
    return clips * wav_bytes(round(seconds * sample_rate), SUBTYPE)


def is_complete(
    root: Path,
    *,
    train_clips: int = 300,
    test_clips: int = 180,
    seed: int = 2021,
    seconds: float = 10.0,
    sample_rate: int = 44_100,
) -> bool:
    """Whether `generate_scenes` with these parameters has finished in `root` and every file is complete."""
    parameters = _Parameters(VERSION, train_clips, test_clips, seed, seconds, sample_rate)
    if not _folder(root, parameters).is_finished:
        return False
    training, test = _plan(parameters)
    recordings = [segment.filename(device) for segment in training + test for device in segment.devices]
    return all((root / name).is_file() for name in _LISTS) and are_whole(
        root, recordings, samples=parameters.grid.samples, subtype=SUBTYPE
    )


def _folder(root: Path, parameters: _Parameters) -> GeneratedFolder:
    return GeneratedFolder(root, asdict(parameters), README)


# --- segments ---------------------------------------------------------------------------------------------------


def _plan(parameters: _Parameters) -> tuple[list[_Segment], list[_Segment]]:
    """Plan the segments of the training and test splits."""
    numbers = iter(range(10**9))
    training, test = [], []
    for index, scene in enumerate(SCENES):
        first_location = 100 * (index + 1)
        for turn, devices in _turns(TRAINING_DEVICES, 2 * index, _share(parameters.train_clips, index)):
            city = turn % len(TRAINING_CITIES)
            place = city * TRAINING_LOCATIONS + turn // len(TRAINING_CITIES) % TRAINING_LOCATIONS
            training.append(_Segment(scene, TRAINING_CITIES[city], first_location + place, next(numbers), devices))
        for turn, devices in _turns(TEST_DEVICES, index, _share(parameters.test_clips, index)):
            city = turn % len(TEST_CITIES)
            test.append(_Segment(scene, TEST_CITIES[city], first_location + 50 + city, next(numbers), devices))
    return training, test


def _share(clips: int, scene_index: int) -> int:
    return clips // len(SCENES) + (scene_index < clips % len(SCENES))


def _turns(pattern: Sequence[tuple[str, ...]], first: int, clips: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the turns of one scene from `first` on and their devices.

    Each round starts one device later, so that the devices of a location change.
    """
    turn = 0
    while clips > 0:
        devices = pattern[(turn + turn // len(pattern) + first) % len(pattern)][:clips]
        yield turn, devices
        clips -= len(devices)
        turn += 1


# --- recordings -------------------------------------------------------------------------------------------------


def _write_segment(root: Path, parameters: _Parameters, segment: _Segment) -> None:
    grid = parameters.grid
    paths = {device: root / segment.filename(device) for device in segment.devices}
    missing = [device for device in paths if not is_whole(paths[device], samples=grid.samples, subtype=SUBTYPE)]
    if not missing:
        return
    place_seed, clip_seed = (parameters.seed, 1, segment.location), (parameters.seed, 2, segment.number)
    scene = record(grid, segment.scene, place_seed, clip_seed)
    for device in missing:
        clip = record_with(device, scene, grid.sample_rate)
        write_wav(paths[device], clip, sample_rate=grid.sample_rate, subtype=SUBTYPE)


# --- lists ------------------------------------------------------------------------------------------------------


def _lists(training: Sequence[_Segment], test: Sequence[_Segment]) -> dict[str, str]:
    """Return the text of each list file by its path under the root."""

    def rows(segments: Sequence[_Segment]) -> list[tuple[str, str, str, str]]:
        return [
            (segment.filename(device), segment.scene, f"{segment.city}-{segment.location}", device)
            for segment in segments
            for device in segment.devices
        ]

    names = ("filename", "scene_label", "identifier", "source_label")
    texts = (
        table_text(names, rows(training) + rows(test)),
        table_text(names[:2], [row[:2] for row in rows(training)]),
        table_text(names[:1], [row[:1] for row in rows(test)]),
        table_text(names[:2], [row[:2] for row in rows(test)]),
    )
    return dict(zip(_LISTS, texts, strict=True))


def _remove_old_recordings(root: Path) -> None:
    """Remove the recordings of an earlier generation with other parameters, and no other files."""
    for path in (root / "audio").glob("*-*-*-*-*.*"):
        if path.suffix in {".wav", ".part"} and path.name.split("-")[0] in SCENES:
            path.unlink()
    for name in _lists([], []):
        (root / name).unlink(missing_ok=True)
