"""Different names of metrics and parameters stay different, and ordinary names are not changed."""

import itertools

import pytest

from dcase_sweep import tracking
from dcase_sweep.config import Tracking
from dcase_sweep.tracking.names import Names, legal_name

#: Each pair of these differs, if only in what MLflow does not take.
DIFFERENT = [
    "Dog (indoor)", "Dog [indoor]", "Dog {indoor}", "Dog _indoor_", "dog (indoor)", "Dog", "dog", "DOG", "Dog ",
    " Dog", "Dog  ", "Dog\t", "Dog\u00a0", "Dog\u200b", "a/b", "a//b", "/a/b", "a/b/", "a/./b", "./a/b", "a/c/../b",
    "a_b", "a\\b", "a|b", ".", "..", "...", "../a", "", " ", "_", "__", "?", "!", "??", "/", "//", "***", "tür",
    "tu\u0308r", "tur", "\u0430", "a", "\uff41", "\u212b", "\u00c5", "x" * 250, "x" * 251, "x" * 252,
    "x" * 300 + "a", "x" * 300 + "b", "y" * 249 + "é", "y" * 249 + "éz", "犬 (室内)", "犬 [室内]", "a:0123456789",
    "a?", "$\\frac{a}{$b", "a\nb", "a\rb", "a\x00b", "\udc80", "😀", "😁", "e\u0301", "é",
]  # fmt: skip


def test_no_two_names_become_one() -> None:
    distinct = list(dict.fromkeys(DIFFERENT))

    assert len({legal_name(name) for name in distinct}) == len(distinct)


@pytest.mark.parametrize(
    "name",
    ["train/loss", "test/f1_Alarm_bell_ringing", "validation/weak_f1", "a/b.c-d e:f", "tür", "x" * 250, "energy/kwh"],
)
def test_ordinary_names_are_not_changed(name: str) -> None:
    assert legal_name(name) == name


def test_a_name_that_equals_the_replacement_of_another_is_changed() -> None:
    assert legal_name(legal_name("Dog (indoor)")) != legal_name("Dog (indoor)")


def test_names_that_differ_in_case_get_a_hash_on_a_server_that_ignores_case() -> None:
    names = Names(is_exact=False)
    wanted = ["Dog", "dog", "DOG", "tür", "tur", "a", "a "]

    found = [names.legal(name) for name in wanted]

    assert found[0] == "Dog"
    assert len({name.casefold().rstrip() for name in found}) == len(wanted)
    assert found == [names.legal(name) for name in wanted]


def test_mlflow_accepts_all_names_of_metrics_and_parameters(mlruns: object) -> None:
    run = tracking.start_run(Tracking(folder=str(mlruns)), name="job", tags={"a (tag)": "1"})
    wanted = {name: float(number) for number, name in enumerate(dict.fromkeys(DIFFERENT))}

    run.log_metrics(wanted)
    run.log_parameters(wanted)
    run.end("FINISHED")

    found = run.store.client.get_run(run.id).data
    assert sorted(found.metrics.values()) == sorted(wanted.values())
    assert sorted(map(float, found.params.values())) == sorted(wanted.values())
    assert all(a != b for a, b in itertools.combinations(found.metrics, 2))
