"""A group of trainings whose epochs are computed together, step by step."""

from collections.abc import Callable, Sequence
from typing import Any

from dcase_sweep.training.fused.member import Member

#: Members that have left their group because something of them has failed, with the errors.
Failures = list[tuple[Member, Exception]]


class Group:
    """Trainings that are computed together. Each one computes its own step, as by itself.

    On a CPU one step is computed after the other. On a GPU each training has a stream of its own: the steps of an epoch
    are started without waiting for the device, so those of different trainings run at the same time.

    Args:
        members: the trainings, which have the same number of batches.

    Attributes:
        members: those that have not failed.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = list(members)

    def keep(self, members: Sequence[Member]) -> None:
        """Go on with some of the members."""
        if len(members) == len(self.members):
            return
        kept = [self.members.index(member) for member in members]
        self.members = list(members)
        self._forget(kept)

    def train_epoch(self, on_batch: Callable[[int], None]) -> Failures:
        """Compute an epoch.

        Args:
            on_batch: called with the number of clips of a training after each batch.

        Returns:
            The members that have left the group because their augmentation or optimizer has failed, with the errors.
        """
        failures: Failures = []
        try:
            self._begin()
            self._each(Member.begin, failures)
            steps = len(self.members[0].batches) if self.members else 0
            for step in range(steps):
                clips = self._take_step(failures)
                if not self.members:
                    break
                self._end_step(clips, failures, is_last=step + 1 == steps)
                on_batch(clips)
            self._end(failures)
        except BaseException:  # of a signal, or of a step of all members
            for member in self.members:
                member.abandon()
            raise
        return failures

    def _forget(self, kept: Sequence[int]) -> None:
        """Change what depends on the members, of whom those at some places are kept."""

    def _begin(self) -> None:
        """Begin an epoch."""

    def _take_step(self, failures: Failures) -> int:
        """Perform a step of all members, and return the number of clips in a batch."""
        clips = self._each(Member.take_step, failures)
        return clips[0] if clips else 0

    def _end_step(self, clips: int, failures: Failures, *, is_last: bool) -> None:
        self._each(lambda member: member.end_step(clips, is_last=is_last), failures)

    def _end(self, failures: Failures) -> None:
        """Give each member the values of its epoch."""
        self._each(Member.end, failures)

    def _each(self, function: Callable[[Member], Any], failures: Failures) -> list[Any]:
        """Call a function of each member, and return the values. Those for whom it fails leave the group."""
        values, failed = [], []
        for member in self.members:
            try:
                values.append(function(member))
            except Exception as error:  # of an augmentation or a scheduler of the user's own
                member.abandon()
                failed.append((member, error))
        gone = [member for member, _ in failed]
        failures += failed
        self.keep([member for member in self.members if member not in gone])
        return values
