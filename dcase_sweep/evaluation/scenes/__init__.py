"""Evaluation of acoustic scene classification (DCASE 2021 task 1A): accuracy and log loss by scene and by device."""
