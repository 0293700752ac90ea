"""When in a training what of a compression happens."""

from dataclasses import dataclass

from dcase_sweep.config import Compression


@dataclass(frozen=True, slots=True)
class Schedule:
    """The shares of a training as steps and epochs, both counted from 0.

    Everything is a function of how many optimizer steps or epochs are done, so that a resumed training continues as
    the uninterrupted one would have.
    """

    #: Steps after which pruning begins, and after which all is pruned.
    begin: int
    end: int
    #: The first epoch with fake quantisation, and the first whose activations' ranges stay; None without it.
    quantize: int | None
    freeze: int | None
    #: The first epoch whose end has all that was asked for.
    complete: int

    @staticmethod
    def of(settings: Compression, *, epochs: int, steps_per_epoch: int) -> "Schedule":
        """The schedule of a training of so many epochs of so many steps."""
        steps = epochs * steps_per_epoch
        begin, end = round(settings.begin * steps), round(settings.end * steps)
        complete = max(-(-end // steps_per_epoch) - 1, 0) if settings.nonzero_kib is not None else 0
        if not settings.quantize:
            return Schedule(begin, end, None, None, complete)
        quantize, freeze = int(settings.quantize_from * epochs), int(settings.freeze_from * epochs)
        return Schedule(begin, end, quantize, freeze, max(complete, quantize))

    def pruned_share(self, steps: int) -> float:
        """Which share of the zeros that are wanted in the end there must be after so many steps, 0 to 1.

        1 - (1 - t)³ between begin and end: fast while there is much to spare, slow near the end
        (Zhu & Gupta, "To prune, or not to prune", 2017, equation 1).
        """
        if steps >= self.end:
            return 1.0
        if steps <= self.begin:
            return 0.0
        return 1.0 - (1.0 - (steps - self.begin) / (self.end - self.begin)) ** 3
