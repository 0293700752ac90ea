"""The configuration of ``hydra/sweeper=optuna_workers`` for Hydra's search path."""
