"""The configuration of ``hydra/sweeper=optuna_workers``, added to Hydra's search path."""
