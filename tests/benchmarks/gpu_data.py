"""Data of the sizes of TAU and DESED for `tests.benchmarks.gpu`: random features cost a training what real ones do."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dcase_sweep.data.waveforms import TrainingWaveforms
    from dcase_sweep.training.mean_teacher.learner import MeanTeacherLearner
    from dcase_sweep.training.scenes import SceneLearner

#: Clips of TAU 2020 Mobile that are trained on and validated, of ten classes.
SCENES = (9_765, 4_200)
#: Batches of an epoch of DESED, clips of each kind in a batch, and what is validated.
EVENT_BATCHES, EVENT_BATCH, EVENT_VALIDATION = 118, (12, 12, 24), (2_500, 158)


def random_features(shape: tuple[int, ...], device: str) -> NDArray[np.float32]:
    """Standard normal numbers, drawn where that is fast."""
    import torch

    generator = torch.Generator(device).manual_seed(0)
    parts = [
        torch.randn((len(part), *shape[1:]), device=device, generator=generator).cpu() for part in _parts(shape[0])
    ]
    return torch.cat(parts).numpy()


def _parts(count: int, size: int = 1024) -> list[range]:
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def compose(*overrides: str) -> Any:
    """A checked experiment."""
    from hydra import compose as compose_by_hydra
    from hydra.initialize import initialize_config_dir

    from dcase_sweep.config import check
    from dcase_sweep.config.folders import conf_folder

    root = Path(tempfile.gettempdir())
    fixed = [f"data.root={root}", f"store.root={root / 'features'}", "seed=0"]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return check(compose_by_hydra("config", [*fixed, *overrides]))


def scene_learner(features: NDArray[np.float32], sizes: tuple[int, int], *overrides: str) -> "SceneLearner":
    """A learner of task 1A on random labels.

    Args:
        features: at least as many as the sizes, ``[clip, mel, frame]``.
        sizes: clips that are trained on, and validated.
    """
    from dcase_sweep.data.scenes import SceneData, SceneRecording
    from dcase_sweep.training.scenes import SceneLearner

    classes = tuple(f"scene{number}" for number in range(10))
    labels = np.random.default_rng(0).integers(0, len(classes), sum(sizes))
    recordings = tuple(
        SceneRecording(f"{place}.wav", classes[label], "here", f"here-{place}", "a")
        for place, label in enumerate(labels)
    )
    train, validation = np.split(np.arange(sum(sizes)), [sizes[0]])
    data = SceneData("random", Path(), recordings, classes, train, validation, validation)
    return SceneLearner(compose("data=tau2020", "model=baseline_cnn", *overrides), data, features)


def event_sizes(batches: int, validated: tuple[int, int]) -> int:
    """How many clips `event_learner` has."""
    return batches * sum(EVENT_BATCH) + sum(validated)


def random_waveforms(clips: int, samples: int, rows: int) -> "TrainingWaveforms":
    """Packed noise for the first clips of a data set.

    Args:
        clips: how many have a waveform.
        samples: of a clip.
        rows: clips of the data set.
    """
    import torch

    from dcase_sweep.audio.packed import pack
    from dcase_sweep.data.waveforms import TrainingWaveforms

    generator = torch.Generator().manual_seed(0)
    parts = [pack(0.1 * torch.randn(len(part), samples, generator=generator)) for part in _parts(clips, 64)]
    return TrainingWaveforms.of(torch.cat(parts).numpy(), np.arange(clips), rows)


def event_learner(
    features: NDArray[np.float32],
    batches: int,
    validated: tuple[int, int],
    *overrides: str,
    waveforms: "TrainingWaveforms | None" = None,
) -> "MeanTeacherLearner":
    """A learner of task 4 on random events.

    Args:
        features: mel amplitudes of `event_sizes` clips, ``[clip, mel, frame]``.
        batches: of an epoch.
        validated: soundscapes and weakly labelled clips.
        waveforms: those of the training clips, with ``front_end.store=false``.
    """
    from dcase_sweep.data.events import DESED_CLASSES, EventClip, EventData, SoundEvent
    from dcase_sweep.training.mean_teacher.learner import MeanTeacherLearner

    rng = np.random.default_rng(0)
    counts = [batches * size for size in EVENT_BATCH] + list(validated)
    subsets = ("strong", "weak", "unlabeled", "synthetic_validation", "weak")
    clips = []
    for subset, count in zip(subsets, counts, strict=True):
        for _ in range(count):
            onsets, labels = rng.uniform(0, 8, 3), rng.choice(DESED_CLASSES, 3, replace=False)
            events = tuple(
                SoundEvent(float(onset), float(onset) + 1.5, str(label))
                for onset, label in sorted(zip(onsets, labels, strict=True))
            )
            has_events = subset in ("strong", "synthetic_validation")
            weak = tuple(sorted(map(str, labels))) if subset == "weak" else ()
            clips.append(EventClip(f"{subset}/{len(clips)}.wav", subset, events if has_events else (), weak, 10.0))
    strong, weak_, unlabeled, synthetic, weak_validation = np.split(np.arange(len(clips)), np.cumsum(counts)[:-1])
    data = EventData(
        "random",
        Path(),
        tuple(clips),
        DESED_CLASSES,
        strong,
        weak_,
        unlabeled,
        weak_validation,
        synthetic,
        test=np.arange(0),
    )
    experiment = compose("data=desed", "model=crnn_meanteacher", *overrides)
    return MeanTeacherLearner(experiment, data, features, waveforms)
