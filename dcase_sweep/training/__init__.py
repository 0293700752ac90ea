"""How a network is trained: one learner a task and framework, with the verbs ``fit`` and ``predict``."""
