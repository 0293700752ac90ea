"""What this package adds to sweeps of Hydra applications: experiments as jobs, limits of complexity, MLflow runs."""
