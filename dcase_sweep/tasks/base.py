"""What every task is: the class to derive a third kind of task from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from dcase_sweep.config import Experiment
from dcase_sweep.evaluation.result import EvaluationResult
from dcase_sweep.result import Column
from dcase_sweep.tasks.protocols import Learner, Predictor


class Task(ABC):
    """A kind of learning problem: what it learns from, who trains it, and how it is evaluated.

    ``task._target_`` names a class derived from this one, in this package or in a user's own. The keyword arguments of
    its constructor are keys of ``task`` in the configuration; the attributes below are the same for all of its
    experiments.

    Args:
        name: a short one, for the first line of a run.
        title: what is learned, for people.
    """

    #: What a data set of this task has as its attribute ``kind``.
    kind: ClassVar[str]
    #: What a network may have as its attribute ``kind``; nothing = the kind of the task.
    model_kinds: ClassVar[tuple[str, ...]] = ()
    #: What ``load()`` of a data set returns.
    data_type: ClassVar[type] = object
    #: Framework → full name of the class that trains (`Learner`).
    learners: ClassVar[Mapping[str, str]]
    #: The metric of the validation by which the best epoch is chosen; ``task.monitor`` replaces it.
    monitor: ClassVar[str]
    #: The metrics that the comparison of a sweep shows, in this order.
    columns: ClassVar[tuple[Column, ...]] = ()
    #: The dataclass of the ``evaluation`` group; None = any keys, unchecked.
    evaluation: ClassVar[type | None] = None
    #: Full name of the class of generated recordings, with which a trained network can be looked at without any data.
    demo_data: ClassVar[str | None] = None
    #: How short recordings are extended: ``repeat`` or ``zeros``.
    padding: ClassVar[Literal["repeat", "zeros"]] = "repeat"
    #: Whether the running statistics of batch normalisation count as parameters.
    counts_statistics: ClassVar[bool] = False
    #: The class of the predictions (`tasks.prediction`); None = found by a prediction where it is needed.
    prediction: ClassVar[type | None] = None
    #: Copies of the weights that training keeps beside the network's own, as a teacher's.
    weight_copies: ClassVar[int] = 0
    #: What training batches are of, for augmentations (`training.augmentation.base`): ``clips`` or ``events``.
    batches: ClassVar[str] = "clips"
    #: Whether ``compression`` applies, and whether ``export`` does: to classifiers of whole clips.
    can_compress: ClassVar[bool] = False
    can_export: ClassVar[bool] = False

    def __init__(self, *, name: str, title: str) -> None:
        self.name = name
        self.title = title

    def check(self, experiment: Experiment) -> None:  # noqa: B027 (a task may have nothing to check)
        """Refuse settings that this task cannot have, before any data are read.

        Raises:
            UserError: in one line that names the key, what was found and what is expected.
        """

    def check_front_end(self, experiment: Experiment, front_end: Any) -> None:  # noqa: B027
        """Refuse a front end that the training of this task cannot use.

        Raises:
            UserError: in one line.
        """

    def check_files(self, experiment: Experiment) -> None:  # noqa: B027
        """Refuse files that the configuration names, as a checkpoint to begin with, before any data are read.

        Raises:
            UserError: in one line.
        """

    def validate_data(self, experiment: Experiment, data: Any) -> None:  # noqa: B027
        """Refuse data that this configuration cannot learn from; log what they cannot be evaluated by.

        Raises:
            UserError: in one line.
        """

    def make_predictor(
        self,
        experiment: Experiment,
        network: Any,
        state: Mapping[str, Any],
        classes: Sequence[str],
        *,
        where: str,
    ) -> Predictor:
        """What tells of a recording what a trained network says of it (`dcase_sweep.load_run`, ``predict``).

        This one hands on the outputs of the network as they are. `tasks.predictors.ClipPredictor` serves classifiers of
        whole clips, with one label or several.

        Args:
            experiment: that trained the network.
            network: with the weights of the best epoch.
            state: everything that the checkpoint's ``state_dict`` holds, as statistics of the features.
            classes: in the order of the network's outputs.
            where: how the user named the run, for messages.

        Raises:
            UserError: if the checkpoint lacks something.
        """
        from dcase_sweep.tasks.predictors import NetworkPredictor

        return NetworkPredictor(network)

    def pool(self, experiment: Experiment, folders: Sequence[Path]) -> EvaluationResult | None:
        """The results of several finished runs together, as of the folds of a cross-validation.

        Args:
            experiment: that of one of the runs, which differ in their test clips.
            folders: where the runs have left their files.

        Returns:
            None if this task does not evaluate test clips of several runs together.

        Raises:
            UserError: if the files of a run cannot be read.
        """
        return None

    @abstractmethod
    def evaluate(self, experiment: Experiment, data: Any, learner: Learner, features: Any) -> EvaluationResult:
        """The results of a trained network on the test split.

        Args:
            experiment: the checked configuration.
            data: as `data_type` says.
            learner: trained.
            features: stored ones of all clips, ``[clip, ...]``, may be memory-mapped.

        Raises:
            UserError: if the network's outputs cannot be evaluated.
        """
