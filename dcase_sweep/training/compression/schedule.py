"""The schedule of a compression within a training."""

from dataclasses import dataclass

from dcase_sweep.config import Compression


@dataclass(frozen=True, slots=True)
class Schedule:
    """The fractions of a training as steps and epochs, both counted from 0.

    All values are functions of the number of completed optimizer steps or epochs, so that a resumed training continues
    like an uninterrupted one.
    """

    #: Steps after which pruning starts and ends.
    begin: int
    end: int
    #: The first epoch with fake quantisation, and the first with frozen ranges of activations; None without
    #: quantisation.
    quantize: int | None
    freeze: int | None
    #: The first epoch at whose end the compression is complete.
    complete: int

    @staticmethod
    def of(settings: Compression, *, epochs: int, steps_per_epoch: int) -> "Schedule":
        """Create the schedule for a number of epochs and of steps in each."""
        steps = epochs * steps_per_epoch
        begin, end = round(settings.begin * steps), round(settings.end * steps)
        complete = max(-(-end // steps_per_epoch) - 1, 0) if settings.nonzero_kib is not None else 0
        if not settings.quantize:
            return Schedule(begin, end, None, None, complete)
        quantize, freeze = int(settings.quantize_from * epochs), int(settings.freeze_from * epochs)
        return Schedule(begin, end, quantize, freeze, max(complete, quantize))

    def pruned_share(self, steps: int) -> float:
        """Return the fraction, 0 to 1, of the final zeros after this number of steps.

        1 - (1 - t)³ between begin and end: fast while many weights are redundant, slow towards the end
        (Zhu & Gupta, "To prune, or not to prune", 2017, equation 1).
        """
        if steps >= self.end:
            return 1.0
        if steps <= self.begin:
            return 0.0
        return 1.0 - (1.0 - (steps - self.begin) / (self.end - self.begin)) ** 3
