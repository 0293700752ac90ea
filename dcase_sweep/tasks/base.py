"""The base class of all tasks."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from dcase_sweep.config import Experiment
from dcase_sweep.evaluation.result import EvaluationResult
from dcase_sweep.result import Column
from dcase_sweep.tasks.protocols import BatchSize, Learner, Predictor


class Task(ABC):
    """A kind of learning problem, with its data type, its learners and its evaluation.

    ``task._target_`` names a subclass, in this package or in a user's project. The keyword arguments of its constructor
    are keys of ``task`` in the configuration. The attributes below are the same for all experiments of the task.

    Args:
        name: short name, shown on the first line of a run.
        title: full name, for people.
    """

    #: The value of the attribute ``kind`` of this task's data sets.
    kind: ClassVar[str]
    #: Accepted values of the attribute ``kind`` of a network; empty = the kind of the task.
    model_kinds: ClassVar[tuple[str, ...]] = ()
    #: The class of the object that ``load()`` of a data set returns.
    data_type: ClassVar[type] = object
    #: Framework → full name of its `Learner` class.
    learners: ClassVar[Mapping[str, str]]
    #: The validation metric that selects the best epoch, unless ``task.monitor`` is set.
    monitor: ClassVar[str]
    #: The metrics in the comparison of a sweep, in this order.
    columns: ClassVar[tuple[Column, ...]] = ()
    #: Patterns (`fnmatch`) of the metrics of its evaluation, without extra ones. Not inherited; empty = unknown.
    metrics: ClassVar[tuple[str, ...]] = ()
    #: The dataclass of the ``evaluation`` group; None = any keys, unchecked.
    evaluation: ClassVar[type | None] = None
    #: Full name of the class of generated recordings, used where a trained network is inspected without data.
    demo_data: ClassVar[str | None] = None
    #: How short recordings are extended: ``repeat`` or ``zeros``.
    padding: ClassVar[Literal["repeat", "zeros"]] = "repeat"
    #: Whether the running statistics of batch normalisation count as parameters.
    counts_statistics: ClassVar[bool] = False
    #: The class of the predictions (`tasks.prediction`); None = taken from a prediction when it is needed.
    prediction: ClassVar[type | None] = None
    #: Copies of the weights that training stores in addition to the network's own, such as those of a teacher.
    weight_copies: ClassVar[int] = 0
    #: The kind of training batches, for augmentations (`training.augmentation.base`): ``clips`` or ``events``.
    batches: ClassVar[str] = "clips"
    #: Whether ``compression`` and ``export`` apply. They apply to classifiers of whole clips.
    can_compress: ClassVar[bool] = False
    can_export: ClassVar[bool] = False

    def __init__(self, *, name: str, title: str) -> None:
        self.name = name
        self.title = title

    def check(self, experiment: Experiment) -> None:  # noqa: B027 (a task may have nothing to check)
        """Check the settings of this task before any data are read.

        Raises:
            UserError: for an invalid setting, with the key, what was found and what is expected.
        """

    def check_front_end(self, experiment: Experiment, front_end: Any) -> None:  # noqa: B027
        """Check that the training of this task can use the front end.

        Raises:
            UserError: if not, in one line.
        """

    def check_files(self, experiment: Experiment) -> None:  # noqa: B027
        """Check files that the configuration names, such as a checkpoint to start from, before any data are read.

        Raises:
            UserError: for an unusable file, in one line.
        """

    def validate_data(self, experiment: Experiment, data: Any) -> None:  # noqa: B027
        """Check that this configuration can be trained on the data. Problems of the evaluation are logged.

        Raises:
            UserError: for unusable data, in one line.
        """

    def batch_size(self, experiment: Experiment) -> BatchSize:
        """Return the number of clips in a training batch; 1, the smallest possible number, if it is not configured."""
        size = experiment.training.batch_size
        return (
            BatchSize(1, "training.batch_size=null") if size is None else BatchSize(size, f"training.batch_size={size}")
        )

    def make_predictor(
        self,
        experiment: Experiment,
        network: Any,
        state: Mapping[str, Any],
        classes: Sequence[str],
        *,
        where: str,
    ) -> Predictor:
        """Return the predictor of `dcase_sweep.load_run` and ``predict``, which interprets the network's outputs.

        The default returns the outputs of the network unchanged. `tasks.predictors.ClipPredictor` is for classifiers of
        whole clips, with one label or several.

        Args:
            experiment: the experiment that trained the network.
            network: the network with the weights of the best epoch.
            state: the checkpoint's ``state_dict``, including statistics of the features.
            classes: the classes in the order of the network's outputs.
            where: the user's name for the run, for messages.

        Raises:
            UserError: if the checkpoint is incomplete.
        """
        from dcase_sweep.tasks.predictors import NetworkPredictor

        return NetworkPredictor(network)

    def pool(self, experiment: Experiment, folders: Sequence[Path]) -> EvaluationResult | None:
        """Evaluate the test clips of several finished runs together, for example of the folds of a cross-validation.

        Args:
            experiment: the experiment of one of the runs, which differ only in their splits.
            folders: folders of the runs.

        Returns:
            The results, or None if this task does not support it.

        Raises:
            UserError: if the files of a run cannot be read.
        """
        return None

    @abstractmethod
    def evaluate(self, experiment: Experiment, data: Any, learner: Learner, features: Any) -> EvaluationResult:
        """Evaluate a trained network on the test split.

        Args:
            experiment: the validated configuration.
            data: an object of the class `data_type`.
            learner: the trained learner.
            features: the stored features of all clips, ``[clip, ...]``, possibly memory-mapped.

        Raises:
            UserError: if the network's outputs cannot be evaluated.
        """
