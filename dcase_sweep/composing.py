"""Experiments from the words of a command line, without running any of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.initialize import initialize_config_dir
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep.arguments import check_overrides, explain_setup
from dcase_sweep.config import Experiment, check
from dcase_sweep.errors import UserError
from dcase_sweep.experiment import (
    ENDLESS,
    open_demo,
    quote_task,
    refuse_arguments,
    register_experiments,
    with_model_of_task,
)
from dcase_sweep.hints import explain
from dcase_sweep.resources import conf_folder
from dcase_sweep.sweep.overrides import combinations


@dataclass(frozen=True, slots=True)
class Composed:
    """One experiment and what was chosen for it, for people: ``cnn5 model.depth=4``."""

    name: str
    experiment: Experiment


def compose_experiments(arguments: Sequence[str]) -> list[Composed]:
    """The checked experiments that these overrides stand for, as many as there are combinations of their values.

    Raises:
        UserError: in one line, as the experiment command says it.
    """
    refuse_arguments(arguments)
    understood = with_model_of_task(quote_task(open_demo(list(arguments))))
    check_overrides(understood)
    register_experiments()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
            return [_composed(job) for job in combinations(parser, understood)]
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, understood)) from None
    except RecursionError:
        raise UserError(ENDLESS) from None
    except Exception as error:
        line = explain_setup(error)
        if line is None:
            raise
        raise UserError(line) from None


def _composed(overrides: Sequence[str]) -> Composed:
    completed = with_model_of_task(list(overrides))
    config = compose("config", completed, return_hydra_config=True)
    rest = [override for override in overrides if override.partition("=")[0] not in ("model", "task")]
    name = " ".join([str(config.hydra.runtime.choices["model"]), *(each.lstrip("+") for each in rest)])
    return Composed(name, check(config))
