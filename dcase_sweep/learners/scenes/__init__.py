"""Scene classifiers in PyTorch."""

from dcase_sweep.learners.scenes.learner import SceneLearner

__all__ = ["SceneLearner"]
