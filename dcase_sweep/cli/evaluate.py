"""``evaluate``: evaluate the scores or detections of any system, without an experiment."""

from dcase_sweep.cli.parser import fill_help
from dcase_sweep.utils.errors import UserError

USAGE = """\
usage: python -m dcase_sweep evaluate WHAT ...

Evaluate the results of any system by the rules of the challenge:
  scenes SCORES REFERENCE_CSV                              task 1A: accuracy and log loss, per scene and device
  events DETECTIONS GROUND_TRUTH_TSV DURATIONS_TSV         task 4: PSDS, collar, segment and intersection F1

See also python -m dcase_sweep evaluate WHAT --help."""


def main(arguments: list[str]) -> int:
    """Pass the arguments to the evaluation of scenes or events.

    Raises:
        UserError: for something that cannot be evaluated.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(fill_help(USAGE))
        return 0 if arguments else 2
    what, rest = arguments[0], arguments[1:]
    if what == "scenes":
        from dcase_sweep.cli.evaluate_scenes import main as evaluate_scenes

        return evaluate_scenes(rest)
    if what == "events":
        from dcase_sweep.cli.evaluate_events import main as evaluate_events

        return evaluate_events(rest)
    raise UserError(f"evaluate {what}: unknown; expected scenes or events")
