"""The metrics that a comparison of experiments shows."""

from dcase_sweep.sweep.comparison import Column

COLUMNS = (
    Column("test/accuracy", "accuracy %", factor=100.0, digits=1),
    Column("test/log_loss", "log loss"),
    Column("test/teacher/psds_score_scenario1", "PSDS 1"),
    Column("test/teacher/psds_score_scenario2", "PSDS 2"),
    Column("test/student/psds_score_scenario1", "student's PSDS 1"),
    Column("test/student/psds_score_scenario2", "student's PSDS 2"),
    Column("test/teacher/event_f1_macro", "collar F1 %", factor=100.0, digits=1),
    Column("test/teacher/intersection_f1_macro", "intersection F1 %", factor=100.0, digits=1),
    Column("best/validation/accuracy", "validation %", factor=100.0, digits=1),
    Column("best/validation/objective", "validation"),
    Column("complexity/parameters", "parameters", digits=0),
    # Shown only where pruning made some parameters zero: else it would repeat the column before it.
    Column("complexity/nonzero_parameters", "non-zero", digits=0, unless_near="complexity/parameters"),
    Column("complexity/nonzero_kib_16bit", "KiB at 16 bit", digits=1),
    Column("compression/accuracy_lost", "points lost", digits=1),
    Column("energy/training_kwh", "training Wh", factor=1e3, digits=2),
)
