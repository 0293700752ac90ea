"""What is said of keys below ``hydra`` that do not exist."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, InstantiationException

from dcase_sweep.config.folders import conf_folder
from dcase_sweep.config.hints import explain
from dcase_sweep.config.hydra_hints import explain_call

SEARCH = "hydra/sweeper=optuna"
WHAT_A_GRID_HAS = "expected one of max_batch_size, params, search, skip_finished"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([SEARCH, "hydra.sweeper.n_trial=3"], "no such key; did you mean hydra.sweeper.n_trials?"),
        (
            [SEARCH, "hydra.sweeper.n_jobs=3"],
            "not in the configuration of hydra.sweeper; +hydra.sweeper.n_jobs=VALUE adds it",
        ),
        ([SEARCH, "hydra.sweeper.sampler.sed=3"], "no such key; did you mean hydra.sweeper.sampler.seed?"),
        (
            [SEARCH, "hydra.sweeper.sampler.n_ei_candidates=9"],
            "not in the configuration of hydra.sweeper.sampler; +hydra.sweeper.sampler.n_ei_candidates=VALUE adds it",
        ),
        ([SEARCH, "hydra.sweeper.params.seed=1"], "no such key; +hydra.sweeper.params.seed=VALUE adds it"),
        (
            ["hydra.sweeper.sampler.seed=3"],
            "a search has this key, and a grid does not; add hydra/sweeper=optuna",
        ),
        (["hydra.swepper.params=null"], "no such key; did you mean hydra.sweeper?"),
        (["hydra.launcher.n_jobs=2"], "no such key; the chosen hydra/launcher has none"),
        (["hydra/launcher=joblib", "hydra.launcher.n_job=2"], "no such key; did you mean hydra.launcher.n_jobs?"),
        (["hydra.job.cdir=true"], "no such key; did you mean hydra.job.chdir?"),
        (["hydra.job.env_set.MODE=1"], "no such key; +hydra.job.env_set.MODE=VALUE adds it"),
    ],
)
def test_a_key_of_hydra_is_misspelt_or_can_be_added(words: list[str], line: str) -> None:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"), pytest.raises(HydraException) as caught:
        compose("config", words, return_hydra_config=True)

    assert explain(caught.value, words) == f"{words[-1].partition('=')[0]}: {line}"


@pytest.mark.parametrize(
    ("target", "name", "line"),
    [
        ("OptunaSweeper", "n_trail", "no such key; did you mean hydra.sweeper.n_trials?"),
        ("GridSweeper", "n_trials", f"no such key; {WHAT_A_GRID_HAS}"),
    ],
)
def test_a_key_that_was_added_and_that_the_class_does_not_take_is_named(target: str, name: str, line: str) -> None:
    """The arguments of a class include those that it passes on to the class that it is derived from."""
    full = f"hydra_plugins.dcase_sweep.{target}"
    error = InstantiationException(f"Error in call to target '{full}':\nTypeError")
    error.__cause__ = TypeError(f"{target}.__init__() got an unexpected keyword argument '{name}'")

    assert explain(error) == f"hydra.sweeper.{name}: {line}"


def test_another_reason_is_given_as_it_is() -> None:
    assert explain_call("hydra.sweeper", "no.Such", "no such class") == "hydra.sweeper._target_=no.Such: no such class"
