"""What a composed configuration may hold, group by group."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class Task:
    """What is learned and how it is evaluated; the arguments of the class that it names come on top."""

    _target_: str = MISSING
    name: str = MISSING
    title: str = MISSING
    #: The choice of ``model`` where none is made.
    model: str | None = None
    #: The class that trains; null = the task's own for the framework.
    learner: str | None = None
    #: The metric of the validation by which the best epoch is chosen, with ``max`` or ``min``; null = the task's own.
    monitor: str | None = None
    mode: str | None = None
    #: What a search optimises where it names no objective, a metric of a finished run; null = the best ``monitor``.
    objective: str | None = None
    #: Hz, of the waveforms that features are computed from.
    sample_rate: int = MISSING
    #: The loss of the labels, a component; null where a learner has one of its own.
    loss: Any = None
    #: KiB that non-zero parameters may take at 16 bit; null where the challenge sets no limit.
    size_limit_kib: float | None = None


@dataclass
class Training:
    """How long and on what batches a network is trained, and which epoch of it is kept."""

    epochs: int = MISSING
    #: Null where the task composes its batches otherwise (``mean_teacher``).
    batch_size: int | None = MISSING
    #: Share of the epochs before the best one is looked for.
    best_after_fraction: float = MISSING
    #: What ``optimizer=adam`` and ``adamw`` add to the root of the second moment, by the recipe.
    adam_eps: float = 1e-8
    #: Clips whose mel bands give mean and deviation: ``train+validation`` or ``train`` (task 1A).
    normalise_over: str = "train"

    @property
    def first_kept_epoch(self) -> int:
        """The first epoch, counted from 0, that may be kept: a ``best_after_fraction`` of all come before it."""
        # 0.29 of 100 epochs is 28.999999999999996 in binary.
        return int(round(self.best_after_fraction * self.epochs, 9))


@dataclass
class Compression:
    """How a network is made smaller while it is trained or fine-tuned (task 1A)."""

    #: A finished run's folder or checkpoint of the same network to begin with; null = new weights.
    start: str | None = None
    #: What the non-zero parameters may take at ``bits``, in KiB; null = no weight is pruned.
    nonzero_kib: float | None = None
    bits: int = 16
    #: Shares of the training between which the weights are pruned.
    begin: float = 0.0
    end: float = 0.5
    #: Int8 fake quantisation; shares of the training from which it is on, and from which its ranges stay.
    quantize: bool = False
    quantize_from: float = 0.5
    freeze_from: float = 0.75

    @property
    def is_on(self) -> bool:
        """Whether anything of it is asked for."""
        return self.start is not None or self.nonzero_kib is not None or self.quantize


@dataclass
class MeanTeacher:
    """How a mean teacher is trained (task 4)."""

    #: Clips of each kind in a batch.
    strong: int = MISSING
    weak: int = MISSING
    unlabelled: int = MISSING
    #: Over which the learning rate and the weight of the consistency loss grow.
    ramp_epochs: int = MISSING
    #: Weight of the consistency loss after the ramp.
    consistency_weight: float = MISSING
    #: Largest decay of the teacher's moving average.
    ema_decay: float = MISSING
    #: Frames of the median filter over scores: one number, or one for each class by its name.
    median_filter: Any = MISSING
    #: A published checkpoint: its student and teacher are evaluated, nothing is trained.
    checkpoint: str | None = None


@dataclass
class Scenario:
    """What one PSDS demands of a detection and how it weighs errors (Bilen et al., 2020)."""

    #: Shares of a detection, of a reference event, and of a false detection in another class's events.
    dtc: float = MISSING
    gtc: float = MISSING
    cttc: float = MISSING
    #: Weights of cross-triggers and of the spread over classes.
    alpha_ct: float = MISSING
    alpha_st: float = MISSING
    #: Effective false positives an hour up to which the curve counts.
    max_efpr: float = MISSING


@dataclass
class Intersection:
    """What intersection F1 demands, as shares like those of `Scenario`."""

    dtc: float = MISSING
    gtc: float = MISSING
    cttc: float = MISSING


@dataclass
class SceneEvaluation:
    """How acoustic scene classification is evaluated (task 1A)."""

    #: 16 = the results in float16 beside the others; null = these alone.
    precision: int | None = None


@dataclass
class Evaluation:
    """How sound event detection is evaluated (task 4)."""

    #: How many PSDS is computed from; the one of the F1 figures; and that of the figures that choose an epoch.
    thresholds: int = MISSING
    f1_threshold: float = MISSING
    validation_threshold: float = MISSING
    #: Over which classes a class's cross-triggers are averaged: ``all`` (psds_eval 0.3) or ``others`` (0.5).
    cross_trigger_average: str = MISSING
    scenario1: Scenario = field(default_factory=Scenario)
    scenario2: Scenario = field(default_factory=Scenario)
    #: Collar F1: seconds, seconds, share of the event's length.
    onset_collar: float = MISSING
    offset_collar: float = MISSING
    offset_fraction: float = MISSING
    #: Seconds.
    segment_length: float = MISSING
    intersection: Intersection = field(default_factory=Intersection)
    #: Whether psds_eval and sed_eval compute their figures too.
    reference: bool = False


@dataclass
class Hardware:
    """Where and how the arithmetic is done."""

    accelerator: str = MISSING
    #: ``32-true``, ``16-mixed``, ``bf16-mixed``, or ``auto``: what the device does fast.
    precision: str = MISSING
    channels_last: bool = True
    #: `torch.compile` of the networks, for batches of full size in training.
    compile: bool = False
    #: Training steps as CUDA graphs, on a GPU.
    graphs: bool = False
    #: CPU threads of the network's operators; null = all cores.
    threads: int | None = None
    #: Processes-worth of parallel reading while features are computed; null = all cores.
    workers: int | None = None
    #: Where features of the training set are kept while training: ``memory`` or ``device``.
    cache_device: str = "memory"
    deterministic: bool = True


@dataclass
class Framework:
    """Which library trains."""

    name: str = MISSING
    #: A function that refuses experiments which this framework cannot run; null = none.
    check: str | None = None


@dataclass
class Tracking:
    """Where runs are logged."""

    #: Null = MLFLOW_TRACKING_URI, or a SQLite file under ``folder``.
    uri: str | None = None
    folder: str = "mlruns"
    experiment: str = "dcase_sweep"
    #: Null = a name made from what was chosen.
    run_name: str | None = None
    #: The run above this one; a multirun fills it in.
    parent: str | None = None
    #: The keys that tell this run from the others of a multirun, which fills them in.
    varying: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    #: Whether the trained network is logged as an MLflow model.
    model: bool = True
    #: Whether CodeCarbon measures the energy of training and evaluation.
    energy: bool = False
    #: ``machine`` or ``process``: whose energy.
    energy_mode: str = "machine"
    #: ISO 3166-1, three letters: whose electricity, for the emissions.
    energy_country: str = "FRA"


@dataclass
class Store:
    """Where computed features lie."""

    root: str = MISSING


@dataclass
class Experiment:
    """One experiment, composed.

    The defaults of keys keep the meaning of configurations that were written before there was the key: checkpoints and
    the users' own files lack it.
    """

    task: Task = field(default_factory=Task)
    data: Any = MISSING
    front_end: Any = MISSING
    model: Any = MISSING
    training: Training = field(default_factory=Training)
    #: Components by their ``_target_``, as `config.components` says; augmentations and callbacks by names, in order.
    optimizer: Any = MISSING
    scheduler: Any = MISSING
    augmentation: Any = field(default_factory=dict)
    callbacks: Any = field(default_factory=dict)
    compression: Compression | None = None
    mean_teacher: MeanTeacher | None = None
    #: As the task says: `SceneEvaluation` or `Evaluation`.
    evaluation: Any = None
    hardware: Hardware = field(default_factory=Hardware)
    framework: Framework = field(default_factory=Framework)
    tracking: Tracking = field(default_factory=Tracking)
    #: Name → ``_target_`` and arguments of each metric beside those of the task.
    metrics: dict[str, Any] = field(default_factory=dict)
    #: Name → ``_target_`` and arguments of each logger. A configuration without the group logs to MLflow.
    logger: dict[str, Any] = field(default_factory=dict)
    store: Store = field(default_factory=Store)
    seed: int = 0
    #: A checkpoint, or the folder of a run that was interrupted.
    resume: str | None = None

    @property
    def compressed(self) -> Compression | None:
        """How the network is compressed, where it is."""
        return self.compression if self.compression is not None and self.compression.is_on else None

    @property
    def published_checkpoint(self) -> str | None:
        """The file whose networks are evaluated instead of trained ones, where there is one."""
        return self.mean_teacher.checkpoint if self.mean_teacher else None
