"""What belongs to a kind of task: its data, its evaluation, its checks."""
