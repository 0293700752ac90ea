"""Scene classifiers in PyTorch."""

from dcase_sweep.training.scenes.learner import SceneLearner

__all__ = ["SceneLearner"]
