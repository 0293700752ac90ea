"""Acoustic scene classification as DCASE 2021 task 1A judges it: accuracy and log loss by scene and by device."""
