"""A Hydra application with scikit-learn: trains a classifier of digits and returns its accuracy."""

import time

import hydra
from omegaconf import DictConfig
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

from dcase_sweep.sweep import report


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> float:
    """Train for some epochs and return the accuracy on the held-out digits."""
    digits = load_digits()
    parts = train_test_split(digits.data / 16, digits.target, random_state=config.seed, test_size=0.3)
    train, test, train_labels, test_labels = parts
    network = SGDClassifier(**config.classifier, learning_rate="constant", random_state=config.seed)
    accuracy = 0.0
    for epoch in range(config.epochs):
        network.partial_fit(train, train_labels, classes=range(10))
        accuracy = float(network.score(test, test_labels))
        time.sleep(config.seconds_per_epoch)
        report(accuracy, epoch)
    return accuracy


if __name__ == "__main__":
    main()
