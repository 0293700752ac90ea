"""Training of networks: one learner per task and framework, with the methods ``fit`` and ``predict``."""
