"""Runs jobs in turns, and trains those together that can be."""

import logging
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch

from dcase_sweep.training.device import use_threads
from dcase_sweep.training.fused.group import Group
from dcase_sweep.training.fused.joining import Candidate
from dcase_sweep.training.fused.member import Member
from dcase_sweep.training.fused.similarity import Prepared, count_fitting, find_difference
from dcase_sweep.training.fused.stacked_group import StackedGroup
from dcase_sweep.utils import console
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.signals import Interrupted
from dcase_sweep.utils.turns import Turn, copy_interruption

log = logging.getLogger(__name__)


def _resume(turn: Turn, reply: Any = None, error: BaseException | None = None) -> None:
    """Let a job go on. What ends it and is not its result is raised here."""
    turn.resume(reply, error)
    if turn.error is not None:
        raise turn.error


class Coordinator:
    """Runs jobs, each in a turn of its own, up to their trainings, and these in groups.

    Args:
        turns: the jobs.
        max_jobs: largest number of trainings in a group; None = as many as fit in memory.
        stacked: whether the networks of a group are computed as one, if their learner can; None = on a GPU. On a CPU,
            grouped convolutions are slower than one convolution after the other.
        key: the setting that limits a group, for a message.
    """

    def __init__(
        self,
        turns: Sequence[Turn],
        max_jobs: int | None,
        stacked: bool | None = None,
        key: str = "hydra.launcher.max_jobs",
    ) -> None:
        self._key = key
        self._turns = turns
        self._stacked = stacked
        self._max_jobs = max_jobs
        #: The largest number of trainings in the latest groups; None before the first one.
        self._most = max_jobs

    def run(self) -> None:
        """Run all jobs to their end.

        Raises:
            Interrupted: after a signal. It is raised in every job that has begun, too.
            BaseException: what has ended a job and is no error, likewise.
        """
        waiting = deque(self._turns)
        try:
            with console.hidden("training"):
                while waiting:
                    self._run_groups(self._begin(waiting))
        except BaseException as error:
            for turn in self._turns:
                if turn.ident is not None:
                    turn.end(copy_interruption(error) if not isinstance(error, Exception) else error)
            if isinstance(error, Interrupted):
                error.handled()
            raise

    def _begin(self, waiting: deque[Turn]) -> list[Prepared]:
        """Run jobs up to their trainings, as many as may be trained at a time."""
        found: list[Prepared] = []
        most = self._max_jobs
        while waiting and (most is None or len(found) < most):
            turn = waiting.popleft()
            _resume(turn)
            if not isinstance(turn.request, Candidate):
                continue
            try:
                found.append(Prepared(turn.request))
            except Exception as error:  # of an augmentation or a network of the user's own
                _resume(turn, f"a step of it cannot be tried ({type(error).__name__}: {error})")
                continue
            if len(found) == 1:
                fitting = count_fitting(found[0], is_stacked=self._is_stacked(turn.request.member))
                most = fitting if most is None else min(fitting, most)
        self._most = most
        return found

    def _run_groups(self, found: Sequence[Prepared]) -> None:
        groups: dict[str, list[Prepared]] = {}
        for prepared in found:
            groups.setdefault(repr(prepared.describe()), []).append(prepared)
        for group in groups.values():
            members = [each.candidate.member for each in group]
            turns = [member.turn for member in members]
            is_stacked = self._is_stacked(members[0])
            reason = self._explain_single() if len(group) == 1 else None
            if reason is None and is_stacked:
                reason = find_difference(group)
            if reason is not None:
                for turn in turns:
                    _resume(turn, reason)
                continue
            if self._stacked and not is_stacked:
                log.warning(
                    f"stacked   not used: networks of {type(members[0].module).__name__} are not computed as one"
                )
            use_threads(group[0].candidate.experiment.hardware)
            for member in members:
                member.enter(is_stacked=is_stacked)
                _resume(member.turn)
            _Training(members, self._key, stacked=is_stacked).run()

    def _explain_single(self) -> str:
        """Return the reason why a training is the only one of its group."""
        if self._most != 1:
            return "no other job is left with its architecture, loss and settings"
        return f"{self._key}=1" if self._max_jobs == 1 else "the free memory holds one job at a time"

    def _is_stacked(self, member: Member) -> bool:
        """Whether the networks of trainings like this one are computed as one."""
        if not vars(type(member.module)).get("can_stack", False):
            return False
        return member.device.type == "cuda" if self._stacked is None else self._stacked


class _Training:
    """The training of a group, epoch by epoch."""

    def __init__(self, members: Sequence[Member], key: str, *, stacked: bool) -> None:
        self._key = key
        started = [member for member in members if member.turn.request is member]
        self._group = StackedGroup(started) if stacked else Group(started)

    def run(self) -> None:
        """Train until the last member has left."""
        names = ", ".join(f"#{member.turn.name}" for member in self._group.members)
        log.info(f"together  {console.pluralize(len(self._group.members), 'job')} of one architecture: {names}")
        with ExitStack() as shown:
            bar: console.Progress | None = None
            while self._group.members:
                if bar is None:
                    most = max(member.trainer.max_epochs or 1 for member in self._group.members)
                    bar = shown.enter_context(console.progress("together", most))
                self._train_epoch(bar)
                if any(self._is_in_last_epoch(member) for member in self._group.members):
                    shown.close()  # its results follow
                    bar = None
                self._pass_on()

    @staticmethod
    def _is_in_last_epoch(member: Member) -> bool:
        return member.trainer.current_epoch + 1 >= (member.trainer.max_epochs or 0)

    def _train_epoch(self, bar: console.Progress) -> None:
        first = self._group.members[0]
        epoch, clips = first.trainer.current_epoch, first.batches.clips_per_epoch
        count = len(self._group.members)
        done = [0]

        def on_batch(size: int) -> None:
            done[0] += size
            bar.update(epoch + done[0] / clips, text=console.pluralize(len(self._group.members), "job"))

        try:
            failures = self._group.train_epoch(on_batch)
        except Exception as error:  # of a step of all networks; a loss of the user's own may raise any
            self._fail(error)
            return
        for member, failure in failures:
            _resume(member.turn, error=self._explain(failure, count))

    def _explain(self, error: Exception, jobs: int) -> Exception:
        """Return the error of a member of a group of some jobs, with a remedy if the memory was too small for all."""
        if not isinstance(error, torch.OutOfMemoryError) or jobs < 2:
            return error
        return UserError(f"out of memory with {jobs} jobs together; use {self._key}={max(1, jobs // 2)}")

    def _fail(self, error: Exception) -> None:
        """Let all members fail because of an error of the group's step."""
        members = self._group.members
        self._group.keep([])
        for member in members:
            _resume(member.turn, error=self._explain(error, len(members)))

    def _pass_on(self) -> None:
        """Let each member end its epoch, up to the next one."""
        for member in self._group.members:
            _resume(member.turn)
        self._group.keep([member for member in self._group.members if member.turn.request is member])
