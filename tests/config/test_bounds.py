"""Numbers too large for any machine are rejected before memory is allocated; large but possible ones are accepted."""

import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose
from omegaconf import OmegaConf
from torch import nn

from dcase_sweep.complexity import capacity
from dcase_sweep.complexity.capacity import check_capacity, check_training_memory
from dcase_sweep.config import Experiment, bounds, build_model, check, task_overrides
from dcase_sweep.config import constructors as construction
from dcase_sweep.config.command_line import quote_choices, with_model_of_task
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.demo import generation
from dcase_sweep.tasks.protocols import BatchSize
from dcase_sweep.tasks.scene_classification import SceneClassification
from dcase_sweep.utils import machine
from dcase_sweep.utils.errors import UserError, describe_os_error, is_out_of_memory
from dcase_sweep.utils.machine import format_bytes, memory_bytes

GIB = 2**30


pytestmark = pytest.mark.usefixtures("composes")


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Simulate a machine with this many bytes of memory."""
    given = SimpleNamespace(bytes=16 * GIB)
    for module in (bounds, construction, capacity):
        monkeypatch.setattr(module, "memory_bytes", lambda: given.bytes)
    return given


def composed(*overrides: str) -> Experiment:
    return check(compose("config", with_model_of_task(quote_choices(overrides, SearchPath()), SearchPath())))


@pytest.mark.parametrize(
    ("override", "most"),
    [
        ("front_end.n_mels=1000000", "4,096 (it would take 30.5 GiB; this machine has 16 GiB of memory)"),
        ("front_end.n_fft=1000000000", "262,144 (it would take 626 GiB"),
        ("data.seconds=1e9", "86,400 (it would take 354 TiB"),
        ("task.sample_rate=1000000000", "10,000,000"),
        ("model.depth=100000", "1,000"),
        ("model.units=1000000000", "1,000,000"),
        ("model.blocks.0.kernel=[100001,100001]", "9,999"),
        ("model.blocks.1.filters=100000000", "65,536"),
        ("data.train_clips=1000000000", "1,000,000 (the recordings would take 1.18 PiB; the disk has"),
        ("training.epochs=1000000000000000000", "10,000,000"),
        ("training.batch_size=1000000000", "1,000,000 (it would take 72.8 TiB"),
        ("augmentation=mask_mels augmentation.mask_mels.count=1000000000", "1,000"),
        ("hardware.threads=1000000", "1,024 (this process may use"),
        ("hardware.workers=1000000", "1,024 (this process may use"),
        ("task=4 model.recurrent_units=100000000", "65,536"),
        ("task=4 model.recurrent_layers=1000000", "100"),
        ("task=4 model.filters=[16,32,64,128,128,128,100000000]", "65,536"),
        ("task=4 model.pools.0=[1000000000,2]", "100,000"),
        ("task=4 mean_teacher.unlabelled=1000000000", "100,000 (it would take"),
        ("task=4 mean_teacher.median_filter=1000000000", "100,000"),
        ("task=4 augmentation=event_mask_mels augmentation.event_mask_mels.count=1000000000", "1,000"),
        ("task=4 evaluation.thresholds=1000000000", "10,000"),
        ("task=4 data.weak_clips=1000000000", "1,000,000 (the recordings would take 291 TiB; the disk has"),
        ("framework=tensorflow training.batch_size=1000000000", "1,000,000"),
    ],
)
def test_a_key_beyond_its_bound_is_rejected_at_once(override: str, most: str, memory: SimpleNamespace) -> None:
    key = override.split()[-1].partition("=")[0]
    began = time.process_time()

    with pytest.raises(UserError) as caught:
        composed(*override.split())

    line = str(caught.value)
    assert line.startswith(f"{key}=")
    assert f": expected at most {most}" in line
    assert "\n" not in line
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "overrides",
    [
        "training.batch_size=512",
        "front_end.n_mels=256 front_end.n_fft=8192 training.batch_size=64",
        "data.seconds=60",
        "data.seconds=600 training.batch_size=1",
        "front_end.n_mels=512 front_end.n_fft=32768",
        "model.depth=64",
        "model.units=4096",
        "model.blocks.1.filters=1024",
        "model.blocks.0.kernel=[39,499]",
        "training.epochs=100000",
        "hardware.threads=256 hardware.workers=256",
        "data.train_clips=20000",
        "augmentation=[mask_mels,mask_frames] augmentation.mask_mels.count=10",
        "task=4 mean_teacher.strong=60 mean_teacher.weak=40 mean_teacher.unlabelled=80",
        "task=4 model.recurrent_units=1024 model.recurrent_layers=8",
        "task=4 front_end.n_mels=512 front_end.n_fft=16384",
        "task=4 evaluation.thresholds=1000 mean_teacher.median_filter=155",
        "task=4 data.seconds=60",
    ],
)
def test_large_settings_that_fit_are_accepted(overrides: str, memory: SimpleNamespace) -> None:
    memory.bytes = 64 * GIB

    check_training_memory(composed(*overrides.split()))


def test_two_numbers_within_their_bounds_may_be_too_much_together(memory: SimpleNamespace) -> None:
    memory.bytes = 8 * GIB
    with pytest.raises(
        UserError, match=r"^front_end\.n_mels=4096: the filters over n_fft=262144 take 16 GiB; .* has 8"
    ):
        composed("front_end.n_mels=4096", "front_end.n_fft=262144")
    with pytest.raises(UserError, match=r"^data\.seconds=86400: the spectra of a clip of 86,400,000 frames take"):
        composed("data.seconds=86400", "front_end.hop_seconds=0.001")


def test_networks_are_weighed_before_they_have_weights(memory: SimpleNamespace) -> None:
    wide = ("model.blocks.0.filters=65536", "model.blocks.1.filters=65536")

    with pytest.raises(
        UserError, match=r"^model: more than 210,\d+,\d+,\d+ parameters, 784 GiB; this machine has 16 GiB"
    ):
        composed(*wide)


def test_a_batch_is_weighed_by_the_clips_that_it_can_hold(memory: SimpleNamespace) -> None:
    everything = composed("training.batch_size=100000")

    check_training_memory(everything, clips=210)
    with pytest.raises(
        UserError, match=r"^training\.batch_size=100000: training with 100,000 clips in a batch takes at lea"
    ):
        check_training_memory(everything)
    with pytest.raises(UserError, match=r"^mean_teacher\.weak=90000: training with 90,036 clips in a batch"):
        check_training_memory(
            composed(
                "task=4",
                "mean_teacher.strong=12",
                "mean_teacher.weak=90000",
                "mean_teacher.unlabelled=24",
            )
        )


class Pairs(SceneClassification):
    """A task of a user's own that learns from pairs of clips."""

    def batch_size(self, experiment: Experiment) -> BatchSize:
        return BatchSize(200_000, "task.pairs=100000")


def test_a_task_defines_the_size_of_its_batches(memory: SimpleNamespace) -> None:
    pairs = composed()
    pairs.task._target_ = f"{__name__}.Pairs"

    with pytest.raises(UserError, match=r"^task\.pairs=100000: training with 200,000 clips in a batch takes at least"):
        check_training_memory(pairs)


def test_the_optimizer_needs_memory_for_each_parameter(memory: SimpleNamespace) -> None:
    network = composed("model.units=1000000")
    memory.bytes = GIB // 2

    with pytest.raises(
        UserError, match=r"^model: 6\d,\d+,\d+ parameters, which with gradients and Adam's moments take"
    ):
        check_training_memory(network)


def test_the_demo_needs_room_on_its_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(generation, "free_bytes", lambda _: 10 * GIB)
    fits = composed("data.train_clips=5000", f"data.root={tmp_path}")
    too_many = composed("data.train_clips=50000", f"data.root={tmp_path}")

    check_capacity(fits)
    with pytest.raises(
        UserError, match=r"scenes-50000-180-2021: the generated recordings take 61\.\d GiB; .* 10 GiB free"
    ):
        check_capacity(too_many)


def test_generated_recordings_need_no_further_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(bytes(900))
    monkeypatch.setattr(generation, "free_bytes", lambda _: 100)

    generation.check_room(tmp_path, 1000)
    with pytest.raises(UserError, match="take 101 B"):
        generation.check_room(tmp_path, 1001)


class Deep(nn.Module):
    """A network of another module with arguments unknown to this package."""

    kind = "scenes"

    def __init__(self, *, input_shape: tuple[int, int], classes: int, layers: int = 1, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))


@pytest.mark.parametrize(
    ("layers", "width", "says"),
    [
        (10**9, 1, r"^model: more than 500 modules"),
        (100, 100_000, r"^model: more than \d+,\d+,\d+,\d+ parameters, .*; this machine has 16 GiB"),
        (1, 10**12, r"^model: a layer larger than any tensor can be"),
    ],
)
def test_a_network_of_another_module_is_bounded_too(
    layers: int, width: int, says: str, memory: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = composed()
    experiment.model = SimpleNamespace(layers=layers, width=width)
    monkeypatch.setattr(construction, "MOST_MODULES", 500)
    monkeypatch.setattr("dcase_sweep.config.instantiate.build", _built)

    with pytest.raises(UserError, match=says):
        build_model(experiment, classes=2, device="meta")


def _built(group: str, node: Any, **given: Any) -> Any:
    return SimpleNamespace(shape=(40, 500)) if group == "front_end" else Deep(**given, **vars(node))


def test_memory_is_the_least_of_what_limits_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_physical", lambda: [8 * GIB])
    monkeypatch.setattr(machine, "_control_groups", lambda: [4 * GIB, 6 * GIB])
    monkeypatch.setattr(machine, "_address_space", lambda: [])

    assert memory_bytes() == 4 * GIB


def test_a_limit_on_the_address_space_counts() -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30,) * 2)"
    asked = "from dcase_sweep.utils.machine import memory_bytes; print(memory_bytes())"

    found = subprocess.run([sys.executable, "-c", f"{limited}; {asked}"], capture_output=True, text=True, check=True)

    assert int(found.stdout) == 3 * GIB


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1536, "1.5 KiB"), (23.5 * GIB, "23.5 GiB"), (2000 * 2**50, "2e+03 PiB")],
)
def test_bytes_in_words(count: float, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("argument", "jobs"),
    [
        ("seed=range(1000000000)", "1,000,000,000"),
        ("seed=range(0,1,0.00001)", "100,000"),
        ("seed=range(-100000,0)", "100,000"),
        ("seed=range(100000,0,-1)", "100,000"),
        ("seed=range(0,9000000000000000000,3)", "3,000,000,000,000,000,000"),
    ],
)
def test_a_grid_of_more_jobs_than_can_be_run_is_rejected(argument: str, jobs: str) -> None:
    with pytest.raises(UserError) as caught:
        compose_experiments([argument])

    assert str(caught.value).startswith(f"{argument}: {jobs} jobs; expected at most 10,000 in one sweep")


def test_jobs_are_counted_before_they_are_made() -> None:
    with pytest.raises(UserError, match=r"^(seed|training\.epochs): 16,000,000 jobs; expected at most 10,000"):
        compose_experiments(["seed=range(4000)", "training.epochs=range(1,4001)"])


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("seed=range(5,1)", "no values"),
        ("seed=range(0,10,0)", "a step of 0"),
        ("seed=range(0,inf)", "finite numbers"),
        ("seed=range(0,nan)", "finite numbers"),
    ],
)
def test_a_range_without_values_or_end_is_rejected(argument: str, says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)):
        compose_experiments([argument])


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000002,) and data type float64"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."),
        RuntimeError("std::bad_alloc"),
        OSError(12, "Cannot allocate memory"),
        MemoryError(),
    ],
)
def test_no_memory_left_is_reported_in_one_line(error: Exception) -> None:
    line = describe_os_error(error)

    assert line is not None
    assert line.startswith("out of memory (")
    assert "\n" not in line


def test_another_error_is_no_lack_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_every_number_of_the_configuration_is_rejected_or_valid() -> None:
    """Each with one of fourteen bad values; ``python -m tests.campaign numbers`` tries all, for a minute and a half."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.campaign", "numbers", "--every", "13"],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (6 * GIB, 6 * GIB)),
    )

    assert found.returncode == 0, found.stdout + found.stderr
    tried = re.findall(r"^task (\w+): (\d+) values tried, 0 faults$", found.stdout, re.MULTILINE)
    assert [task for task, _ in tried] == ["1a", "4"]
    assert min(int(count) for _, count in tried) > 40


def test_an_interpolation_among_the_overrides_is_a_text() -> None:
    overrides = OmegaConf.create({"overrides": {"task": ["seed=${training.epochs}", "model=cnn5"]}})

    assert task_overrides(overrides) == ["seed=${training.epochs}", "model=cnn5"]
