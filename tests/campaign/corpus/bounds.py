"""Numbers that no machine holds, numbers that are none, and words that Hydra cannot make a configuration of."""

from pathlib import Path

from tests.campaign.cases import Case


def _word(count: int) -> str:
    return count * "x"


def _unwritable(folder: Path) -> None:
    (folder / "a_file").write_text("no folder")


#: Numbers beyond what any machine holds: the key, its bound, and where it is known what it would take.
_SIZES = [
    Case("mel-bands", ["front_end.n_mels=1000000"], r"^error: front_end\.n_mels=1000000: .*4,096.*machine has"),
    Case("fft", ["front_end.n_fft=1000000000"], r"^error: front_end\.n_fft=1000000000: .*262,144.*machine has"),
    Case("clip-of-30-years", ["data.seconds=1e9"], r"^error: data\.seconds=.*86,400.*TiB.*machine has"),
    Case("a-day-in-one-clip", ["data.seconds=86400"], r"^error: data\.seconds=86400: .*TiB|.*GiB.*machine has"),
    Case("sample-rate", ["task.sample_rate=1000000000"], r"^error: task\.sample_rate=.*at most 10,000,000"),
    Case("depth", ["model.depth=100000"], r"^error: model\.depth=100000: expected at most 1,000"),
    Case("kernel", ["model.blocks.0.kernel=[100001,100001]"], r"^error: model\.blocks\.0\.kernel=.*at most 9,999"),
    Case("filters", ["model.blocks.0.filters=100000000"], r"^error: model\.blocks\.0\.filters=.*at most 65,536"),
    Case("units", ["model.units=1000000000"], r"^error: model\.units=1000000000: expected at most 1,000,000"),
    Case(
        "two-wide-blocks",
        ["model.blocks.0.filters=65536", "model.blocks.1.filters=65536"],
        r"^error: model: more than .* parameters, .*machine has",
        limit=20,
    ),
    Case("training-clips", ["data.train_clips=1000000000"], r"^error: data\.train_clips=.*PiB.*disk has .* free"),
    Case(
        "demo-larger-than-the-disk",
        ["data.train_clips=1000000"],
        r"^error: .*scenes-1000000.*take .*TiB; .*free",
        limit=30,
    ),
    Case("epochs", ["training.epochs=1000000000000000000"], r"^error: training\.epochs=.*at most 10,000,000"),
    Case("batch", ["training.batch_size=1000000000"], r"^error: training\.batch_size=.*TiB.*machine has"),
    Case(
        "batch-of-everything",
        ["data=tau2020", "data.root={folder}", "training.batch_size=200000"],
        r"^error: training\.batch_size=200000: .*at least .*machine has",
        limit=30,
    ),
    Case("masks", ["augmentation.mask_frames=1000000000"], r"error: augmentation\.mask_frames\.count=.*at most 1,000"),
    Case("threads", ["hardware.threads=1000000"], r"^error: hardware\.threads=1000000: .*1,024.*cores"),
    Case("readers", ["hardware.workers=1000000"], r"^error: hardware\.workers=1000000: .*1,024.*cores"),
    Case("recurrent-units", ["task=4", "model.recurrent_units=100000000"], r"^error: model\.recurrent_units=.*65,536"),
    Case(
        "recurrent-layers", ["task=4", "model.recurrent_layers=1000000"], r"^error: model\.recurrent_layers=.*most 100"
    ),
    Case("pools", ["task=4", "model.pools.0=[1000000000,2]"], r"^error: model\.pools\.0=.*at most 100,000"),
    Case("strong-clips", ["task=4", "mean_teacher.strong=1000000000"], r"^error: mean_teacher\.strong=.*machine has"),
    Case(
        "median", ["task=4", "mean_teacher.median_filter=1000000000"], r"^error: mean_teacher\.median_filter=.*100,000"
    ),
    Case("thresholds", ["task=4", "evaluation.thresholds=1000000000"], r"^error: evaluation\.thresholds=.*10,000"),
    Case(
        "segments", ["task=4", "evaluation.segment_length=1e-9"], r"^error: evaluation\.segment_length=.*at least 0\.01"
    ),
    Case("soundscapes", ["task=4", "data.weak_clips=1000000000"], r"^error: data\.weak_clips=.*disk has .* free"),
    Case(
        "keras-batch",
        ["framework=tensorflow", "training.batch_size=1000000000"],
        r"^error: training\.batch_size=1000000000: expected at most",
    ),
    Case("classes", ["complexity", "--classes", "1000000000"], r"^error: --classes 1000000000: expected at most"),
    Case("bits", ["complexity", "--bits", "7"], r"^error: .*--bits.*32, 16, 8"),
    Case("calibration", ["export", "tflite", "run=x", "calibration=²"], r"^error: calibration=.*positive number"),
]
_SWEEPS = [
    Case("a-billion-seeds", ["-m", "seed=range(1000000000)"], r"^error: seed=range.*1,000,000,000 jobs; .*10,000"),
    Case("a-product", ["-m", "seed=range(4000)", "training.epochs=range(1,4000)"], r"^error: .*15,996,000 jobs"),
    Case("no-seed", ["-m", "seed=range(5,1)"], r"^error: seed=range\(5,1\): no values"),
    Case("step-of-nothing", ["-m", "seed=range(0,10,0)"], r"^error: seed=range\(0,10,0\): .*step of 0"),
    Case("compared", ["complexity", "model.depth=range(1,100000)"], r"^error: model\.depth=range.*99,999 jobs"),
    Case(
        "batches-of-jobs",
        ["-m", "hydra.sweeper.max_batch_size=-1", "seed=1,2"],
        r"^error: .*max_batch_size=-1: .*least 1",
    ),
    Case(
        "skip-maybe", ["-m", "hydra.sweeper.skip_finished=maybe", "seed=1,2"], r"^error: .*skip_finished=maybe: .*true"
    ),
    Case(
        "joblib",
        ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=1000000", "seed=1,2"],
        r"^error: hydra\.launcher\.n_jobs=1000000: expected at most 1,024",
    ),
    Case(
        "workers",
        ["-m", "hydra/sweeper=optuna", "search=scene_cnn", "hydra.sweeper.workers=1000"],
        r"^error: hydra\.sweeper\.workers=1000: .*GiB.*machine has",
    ),
    Case(
        "trials",
        ["-m", "hydra/sweeper=optuna", "search=scene_cnn", "hydra.sweeper.n_trials=1000000000000000000"],
        r"^error: hydra\.sweeper\.n_trials=.*at most 1,000,000",
    ),
    Case(
        "a-space-of-depths",
        ["-m", "hydra/sweeper=optuna", "search=scene_cnn", "model.depth=range(1,1000000000)"],
        r"^error: model\.depth: values from 1 to .*at most 1,000",
    ),
]
_KINDS = [
    Case("half-an-epoch", ["training.epochs=2.5"], r"^error: training\.epochs: .*2\.5.*Integer"),
    Case("rate-of-nan", ["optimizer.lr=nan"], r"^error: optimizer\.lr=nan: expected a finite number"),
    Case("endless-rate", ["optimizer.lr=1e400"], r"^error: optimizer\.lr=inf: expected a finite number"),
    Case("400-digits", [f"data.seconds={400 * '9'}"], r"^error: data\.seconds=9+\.\.\. .*at most 64 bits"),
    Case("true-filters", ["model.blocks.0.filters=true"], r"^error: model\.blocks\.0\.filters=True: expected a number"),
    Case("true-epochs", ["training.epochs=true"], r"^error: training\.epochs=True: expected a number"),
    Case("seed-of-80-bits", ["seed=1208925819614629174706176"], r"^error: seed=.*at most 64 bits"),
    Case("negative-mels", ["front_end.n_mels=-1"], r"^error: front_end\.n_mels=-1: expected at least 1"),
    Case("no-rate", ["task.sample_rate=0"], r"^error: task\.sample_rate=0: expected at least 100"),
    Case("blocks-of-numbers", ["model.blocks=[5]"], r"^error: model: .*int"),
    Case("a-number-for-a-group", ["training=5"], r"^error: training: "),
]
_WORDS = [
    Case("empty-run-folder", ["hydra.run.dir="], r"^error: hydra\.run\.dir=: (no folder|empty)"),
    Case("run-in-a-device", ["hydra.run.dir=/dev/null"], r"^error: hydra\.run\.dir=/dev/null: .*folder"),
    Case(
        "run-in-a-file",
        ["hydra.run.dir=a_file/x"],
        r"^error: hydra\.run\.dir=a_file/x: .*is not a folder; expected one",
        prepare=_unwritable,
    ),
    Case(
        "empty-sweep-folder", ["-m", "hydra.sweep.dir=", "seed=1,2"], r"^error: hydra\.sweep\.dir=: (no folder|empty)"
    ),
    Case("verbose-number", ["hydra.verbose=5"], r"^error: .*hydra\.verbose: expected true, false"),
    Case("verbose-list", ["hydra.verbose=[a,1]"], r"^error: .*hydra\.verbose: A logger name"),
    Case("loud", ["hydra.job_logging.root.level=LOUD"], r"^error: hydra\.job_logging.*Unknown level: 'LOUD'"),
    Case(
        "log-nowhere",
        ["hydra.job_logging.handlers.file.filename=/dev/null/x"],
        r"^error: hydra\.job_logging.*/dev/null/x",
    ),
    Case(
        "silent-logging",
        ["hydra/job_logging=disabled", "model.depth=0"],
        r"^error: model\.depth=0: expected at least 1",
    ),
    Case("unknown-logging", ["hydra/job_logging=nope"], r"^error: hydra/job_logging=nope: no such choice; .*plain"),
    Case("unknown-launcher", ["hydra/launcher=nope", "-m", "seed=1,2"], r"^error: hydra/launcher=nope: no such choice"),
    Case("no-sweeper", ["-m", "hydra.sweeper=null", "seed=1,2"], r"^error: .*sweeper is not configured"),
    Case("foreign-launcher", ["-m", "hydra.launcher._target_=os.system", "seed=1,2"], r"^error: .*plugin 'os\.system'"),
    Case("no-key", ["=5"], r"^error: =5: no key"),
    Case("two-dots", ["a.b..c=1"], r"^error: a\.b\.\.c=1: cannot be read"),
    Case("two-lines", ["tracking.run_name=a\nb"], r"^error: tracking\.run_name=a\\nb: cannot be read"),
    Case("open-bracket", ["model.depth=[1"], r"^error: model\.depth=\[1: cannot be read"),
    Case("only-plus", ["++"], r"^error: \+\+: cannot be read"),
    Case("no-interpolation", ["model.depth=${oops}"], r"^error: .*oops", limit=20),
    Case("itself", ["seed=${seed}"], r"^error: seed: .*[Rr]ecursive", limit=20),
    Case("null-group", ["model=null"], r"^error: model=null: no such choice; .*baseline_cnn"),
    Case("number-for-hydra", ["hydra=5"], r"^error: hydra=5: no such choice"),
    Case("second-model", ["+model=cnn4"], r"^error: \+model: one is chosen already"),
    Case("values-without-m", ["model.depth=1,2"], r"^error: model\.depth=1,2: several values; add -m"),
    Case("long-word", [f"tracking.run_name={_word(100_000)}"], r"^error: tracking\.run_name=x+\.\.\. .*at most 20,000"),
    Case(
        "deep-word",
        ["model.blocks=" + 200 * "[" + 200 * "]"],
        r"^error: model\.blocks=.*nested 200 levels deep; expected at most 20",
    ),
    Case("unknown-option", ["--nope"], r"^error: unrecognized arguments: --nope"),
    Case("not-a-bool", ["hydra.job.chdir=maybe"], r"^error: hydra\.job\.chdir=maybe: .*not a valid bool"),
    Case("index-that-is-none", ["model.blocks.x.filters=3"], r"^error: .*Index 'x'"),
]
CASES = [*_SIZES, *_SWEEPS, *_KINDS, *_WORDS]
