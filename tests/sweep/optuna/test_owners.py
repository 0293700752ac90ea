"""Detection of trials whose process has ended."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace

import optuna
import pytest
from optuna.trial import FrozenTrial

from dcase_sweep.sweep.optuna import outages, owners
from dcase_sweep.sweep.optuna.owners import ALIVE, OWNER, Heartbeat, is_gone, is_owned_by, sign
from dcase_sweep.utils.processes import this_process


def owned(owner: str, **attributes: float) -> FrozenTrial:
    """A running trial of this owner."""
    study = optuna.create_study()
    trial = study.ask()
    trial.set_user_attr(OWNER, owner)
    for name, value in attributes.items():
        trial.set_user_attr(name, value)
    return study.get_trials()[0]


def test_a_process_of_this_machine_decides_itself() -> None:
    mine = this_process()

    assert not is_gone(owned(str(mine)), time.time() + 1e6)
    assert is_gone(owned(str(replace(mine, start="1"))))  # the number was used again
    assert is_gone(owned(str(replace(mine, number=2**22 + 1))))
    assert not is_gone(owned(str(replace(mine, host="renamed"))))
    assert is_owned_by(owned(str(mine)), os.getpid())
    assert not is_owned_by(owned(str(mine)), os.getpid() + 1)


@pytest.mark.parametrize("machine", ["another-boot:pid:[1]", this_process().machine.partition(":")[0] + ":pid:[7]"])
def test_a_process_elsewhere_is_gone_when_it_gives_no_sign_of_life(machine: str) -> None:
    """On another host, before a reboot, or in another container of the same host."""
    elsewhere = str(replace(this_process(), machine=machine))
    now = time.time()

    assert not is_gone(owned(elsewhere), now + owners.GRACE_PERIOD - 30)
    assert is_gone(owned(elsewhere), now + owners.GRACE_PERIOD + 30)
    assert not is_gone(owned(elsewhere, **{ALIVE: now + 1000}), now + 1000 + owners.GRACE_PERIOD - 30)
    assert is_gone(owned(elsewhere, **{ALIVE: now + 1000}), now + 1000 + owners.GRACE_PERIOD + 30)


def test_a_trial_without_an_owner_is_given_some_seconds_to_get_one() -> None:
    trial = owned("")

    assert not is_gone(trial)
    assert is_gone(trial, time.time() + 120)


def test_owners_of_an_earlier_version_are_understood() -> None:
    host = socket.gethostname()
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()

    assert is_gone(owned(f"{host}:{process.pid}"))
    assert not is_gone(owned(f"{host}:{os.getpid()}"), time.time() + 1e6)
    assert not is_gone(owned("elsewhere:1"))
    assert is_gone(owned("elsewhere:1"), time.time() + 1000)
    young = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = owned(f"{host}:{young.pid}")
    assert began.datetime_start is not None
    began.datetime_start = began.datetime_start.replace(year=2020)
    assert is_gone(began)  # another process of the same number
    young.communicate(b"\n")


def test_a_sign_of_life_is_given_from_time_to_time() -> None:
    study = optuna.create_study()
    trial = study.ask()
    sign(trial)

    with Heartbeat(study, interval=0.05) as heartbeat:
        heartbeat.follow(trial)
        first = _wait_for_change(study, None)
        assert _wait_for_change(study, first) > first
        heartbeat.follow()
        study.tell(trial, 1.0)


def test_each_trial_of_a_group_gives_signs_of_life_also_when_another_one_has_ended() -> None:
    study = optuna.create_study()
    trials = [study.ask() for _ in range(3)]
    study.tell(trials[0], 1.0)

    with Heartbeat(study, interval=0.05) as heartbeat:
        heartbeat.follow(*trials)
        for number in (1, 2):
            first = _wait_for_change(study, None, number)
            assert _wait_for_change(study, first, number) > first

    assert ALIVE not in study.get_trials()[0].user_attrs


def test_a_process_elsewhere_has_its_time_again_after_an_outage_of_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere, now = str(replace(this_process(), machine="another-boot:pid:[1]")), time.time()
    monkeypatch.setattr(outages, "_returned", now + 600)

    assert not is_gone(owned(elsewhere), now + 600 + owners.GRACE_PERIOD - 30)
    assert is_gone(owned(elsewhere), now + 600 + owners.GRACE_PERIOD + 30)


def test_a_sign_of_life_that_an_outage_has_held_up_is_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    study = optuna.create_study()
    trial = study.ask()
    store, sent = study._storage.set_trial_user_attr, list[float]()

    def wait_and_store(number: int, key: str, value: float) -> None:
        if not sent:
            time.sleep(0.3)
        sent.append(value)
        store(number, key, value)

    monkeypatch.setattr(study._storage, "set_trial_user_attr", wait_and_store)
    Heartbeat(study, interval=0.2)._send(trial._trial_id)

    assert len(sent) == 2
    assert sent[1] - sent[0] >= 0.3


def _wait_for_change(study: optuna.Study, before: float | None, number: int = 0) -> float:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = study.get_trials()[number].user_attrs.get(ALIVE)
        if found is not None and found != before:
            return float(found)
        time.sleep(0.01)
    raise AssertionError("no sign of life")
