"""The schema of a composed configuration: one dataclass for each section.

The comment (``#:``) above a field is its description in the reference of configuration keys.
"""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class Task:
    """The task: data type, training and evaluation. The class named by ``_target_`` may take further arguments."""

    #: The class of the task.
    _target_: str = MISSING
    #: Short name, as in ``task=1a``.
    name: str = MISSING
    #: Full name, for titles and messages.
    title: str = MISSING
    #: The model that is used unless another one is chosen.
    model: str | None = None
    #: The class that trains; null = the task's default for the framework.
    learner: str | None = None
    #: The validation metric that selects the best epoch; null = the task's default.
    monitor: str | None = None
    #: Whether ``monitor`` is maximized or minimized: ``max`` or ``min``; null = the task's default.
    mode: str | None = None
    #: The metric of a finished run that a search optimizes by default; null = the best value of ``monitor``.
    objective: str | None = None
    #: Sample rate of the waveforms from which features are computed, Hz.
    sample_rate: int = MISSING
    #: The loss on the labels, a component; null if the learner has its own loss.
    loss: Any = None
    #: Size limit of the non-zero parameters at 16 bits, KiB; null = no limit.
    size_limit_kib: float | None = None


@dataclass
class Training:
    """The length of the training, its batches, and the selection of the best epoch."""

    #: Number of epochs.
    epochs: int = MISSING
    #: Clips in a batch; null if the task defines its own batches (``mean_teacher``).
    batch_size: int | None = MISSING
    #: The best epoch is selected only after this fraction of all epochs.
    best_after_fraction: float = MISSING
    #: The ``eps`` of ``optimizer=adam`` and ``optimizer=adamw``, set by the recipe of the task.
    adam_eps: float = 1e-8
    #: The clips that the mean and standard deviation of each mel band are computed from: ``train+validation`` or
    #: ``train`` (task 1A).
    normalise_over: str = "train"

    @property
    def first_best_epoch(self) -> int:
        """The first epoch, counted from 0, that can be the best: ``best_after_fraction`` of all epochs precede it."""
        # 0.29 of 100 epochs is 28.999999999999996 in binary.
        return int(round(self.best_after_fraction * self.epochs, 9))


@dataclass
class Compression:
    """Pruning and quantization of a network while it is trained or fine-tuned (task 1A)."""

    #: The folder or checkpoint of a finished run of the same network, to start from its weights; null = new weights.
    start: str | None = None
    #: Target size of the non-zero parameters at ``bits`` bits, KiB; null = no pruning.
    nonzero_kib: float | None = None
    #: Bits of a parameter when its size is counted.
    bits: int = 16
    #: Pruning starts after this fraction of the training.
    begin: float = 0.0
    #: Pruning ends after this fraction of the training.
    end: float = 0.5
    #: Whether to train with int8 fake quantization.
    quantize: bool = False
    #: Fake quantization starts after this fraction of the training.
    quantize_from: float = 0.5
    #: The quantization ranges are frozen after this fraction of the training.
    freeze_from: float = 0.75

    @property
    def is_on(self) -> bool:
        """Whether any compression is configured."""
        return self.start is not None or self.nonzero_kib is not None or self.quantize


@dataclass
class MeanTeacher:
    """Training with a mean teacher (task 4)."""

    #: Strongly labelled clips in a batch.
    strong: int = MISSING
    #: Weakly labelled clips in a batch.
    weak: int = MISSING
    #: Unlabelled clips in a batch.
    unlabelled: int = MISSING
    #: Length of the ramp-up of the learning rate and of the consistency weight, epochs.
    ramp_epochs: int = MISSING
    #: Weight of the consistency loss after the ramp-up.
    consistency_weight: float = MISSING
    #: Largest decay of the teacher's moving average.
    ema_decay: float = MISSING
    #: Length of the median filter on the scores, frames: one number, or a mapping from class names to numbers.
    median_filter: Any = MISSING
    #: A published checkpoint. Its student and teacher are evaluated; nothing is trained.
    checkpoint: str | None = None


@dataclass
class Scenario:
    """The parameters of a PSDS scenario (Bilen et al., 2020)."""

    #: Detection tolerance criterion: the fraction of a detection that must lie within reference events.
    dtc: float = MISSING
    #: Ground truth tolerance criterion: the fraction of a reference event that detections must cover.
    gtc: float = MISSING
    #: Cross-trigger tolerance criterion: the fraction of a false detection that lies within events of another class.
    cttc: float = MISSING
    #: Weight of cross-triggers.
    alpha_ct: float = MISSING
    #: Weight of the standard deviation across classes.
    alpha_st: float = MISSING
    #: Largest effective false positive rate of the curve, per hour.
    max_efpr: float = MISSING


@dataclass
class Intersection:
    """The tolerance criteria of the intersection-based F1, defined as in `Scenario`."""

    #: Detection tolerance criterion.
    dtc: float = MISSING
    #: Ground truth tolerance criterion.
    gtc: float = MISSING
    #: Cross-trigger tolerance criterion.
    cttc: float = MISSING


@dataclass
class SceneEvaluation:
    """Evaluation of acoustic scene classification (task 1A)."""

    #: 16 = also evaluate the network in float16; null = only in the precision of the training.
    precision: int | None = None


@dataclass
class Evaluation:
    """Evaluation of sound event detection (task 4)."""

    #: Number of thresholds from which PSDS is computed.
    thresholds: int = MISSING
    #: Threshold of the F1 scores.
    f1_threshold: float = MISSING
    #: Threshold of the validation metrics that select the best epoch.
    validation_threshold: float = MISSING
    #: The classes over which the cross-triggers of a class are averaged: ``all`` (psds_eval 0.3) or ``others`` (0.5).
    cross_trigger_average: str = MISSING
    #: PSDS scenario 1.
    scenario1: Scenario = field(default_factory=Scenario)
    #: PSDS scenario 2.
    scenario2: Scenario = field(default_factory=Scenario)
    #: Onset tolerance of the collar-based F1, seconds.
    onset_collar: float = MISSING
    #: Offset tolerance of the collar-based F1, seconds.
    offset_collar: float = MISSING
    #: Offset tolerance of the collar-based F1 as a fraction of the event's length; the larger tolerance applies.
    offset_fraction: float = MISSING
    #: Length of a segment of the segment-based F1, seconds.
    segment_length: float = MISSING
    #: Intersection-based F1.
    intersection: Intersection = field(default_factory=Intersection)
    #: Whether psds_eval and sed_eval also compute their metrics, for comparison.
    reference: bool = False


@dataclass
class Hardware:
    """Device, precision and parallelism."""

    #: ``cpu``, ``gpu`` (CUDA), or ``mps`` (a Mac's GPU).
    accelerator: str = MISSING
    #: ``32-true``, ``16-mixed``, ``bf16-mixed``, or ``auto``: the fastest that the device supports.
    precision: str = MISSING
    #: Whether feature maps use PyTorch's channels-last memory format.
    channels_last: bool = True
    #: Whether to compile the networks with ``torch.compile``, for full batches in training.
    compile: bool = False
    #: Whether to record training steps as CUDA graphs, on a GPU.
    graphs: bool = False
    #: Whether a command whose workers share a GPU starts NVIDIA's Multi-Process Service (MPS), if it is installed.
    mps: bool = False
    #: CPU threads of the network's operators; null = all cores.
    threads: int | None = None
    #: Number of files that are read in parallel while features are computed; null = all cores.
    workers: int | None = None
    #: Where the training features are kept during training: ``memory`` or ``device``.
    cache_device: str = "memory"
    #: Whether to use deterministic algorithms only.
    deterministic: bool = True
    #: The time limit from the start of the command: seconds, or ``[DAYS-]HOURS:MINUTES:SECONDS``. A training whose next
    #: epoch would not fit ends as interrupted, to be continued. null = that of the Slurm job, if there is one.
    time_limit: Any = None


@dataclass
class Framework:
    """The library that trains the network."""

    #: ``torch`` or ``tensorflow``.
    name: str = MISSING
    #: A function that raises an error for experiments that this framework cannot run; null = none.
    check: str | None = None


@dataclass
class Tracking:
    """Logging of runs to MLflow, and energy measurement."""

    #: The MLflow tracking URI; null = MLFLOW_TRACKING_URI, or a SQLite file in ``folder``.
    uri: str | None = None
    #: Folder of the SQLite file and of the artifacts.
    folder: str = "mlruns"
    #: Name of the MLflow experiment.
    experiment: str = "dcase_sweep"
    #: Name of the run; null = a name made from the overrides.
    run_name: str | None = None
    #: The ID of the parent run. Set by a multirun.
    parent: str | None = None
    #: The keys whose values differ between the runs of a multirun. Set by a multirun.
    varying: list[str] = field(default_factory=list)
    #: Tags of the run.
    tags: dict[str, str] = field(default_factory=dict)
    #: Seconds that the end of a run waits for a server that does not answer. What it has not taken follows later.
    timeout: float = 10.0
    #: Seconds that a later run of a sweep or a search waits for a server that does not answer before it fails.
    start_timeout: float = 600.0
    #: Whether the trained network is logged as an MLflow model.
    model: bool = True
    #: What is drawn: ``all``: the figures of each run, and of a search at its end. ``auto``: the same, without those of
    #: trials that are not the best when they finish. ``none``: nothing.
    figures: str = "auto"
    #: Whether the last epoch's checkpoint is logged after each epoch, so that a machine without the run's folder can
    #: continue an interrupted trial.
    last_checkpoint: bool = False
    #: Whether CodeCarbon measures the energy of training and evaluation.
    energy: bool = False
    #: What is measured: ``machine`` or ``process``.
    energy_mode: str = "machine"
    #: Country whose electricity mix determines the emissions, an ISO 3166-1 code of three letters.
    energy_country: str = "FRA"


@dataclass
class Store:
    """The feature store."""

    #: Folder of the stored features.
    root: str = MISSING


@dataclass
class Experiment:
    """A composed experiment.

    A new key gets a default that does not change older configurations: checkpoints and users' files do not contain it.
    """

    task: Task = field(default_factory=Task)
    data: Any = MISSING
    front_end: Any = MISSING
    model: Any = MISSING
    training: Training = field(default_factory=Training)
    # Components (see `config.components`). Augmentations and callbacks have names and are applied in order.
    optimizer: Any = MISSING
    scheduler: Any = MISSING
    augmentation: Any = field(default_factory=dict)
    callbacks: Any = field(default_factory=dict)
    compression: Compression | None = None
    mean_teacher: MeanTeacher | None = None
    # `SceneEvaluation` or `Evaluation`, depending on the task.
    evaluation: Any = None
    hardware: Hardware = field(default_factory=Hardware)
    framework: Framework = field(default_factory=Framework)
    tracking: Tracking = field(default_factory=Tracking)
    #: Additional metrics: name → ``_target_`` and arguments.
    metrics: dict[str, Any] = field(default_factory=dict)
    #: Loggers: name → ``_target_`` and arguments. A configuration without this group logs to MLflow.
    logger: dict[str, Any] = field(default_factory=dict)
    store: Store = field(default_factory=Store)
    #: Seed of all random numbers: initial weights, batches, dropout, augmentation.
    seed: int = 0
    #: The folder or a checkpoint of an interrupted run to continue, or the folder of a sweep.
    resume: str | None = None

    @property
    def compressed(self) -> Compression | None:
        """The compression settings, or None without compression."""
        return self.compression if self.compression is not None and self.compression.is_on else None

    @property
    def published_checkpoint(self) -> str | None:
        """The published checkpoint to evaluate, or None to train."""
        return self.mean_teacher.checkpoint if self.mean_teacher else None
