"""``python -m tests.campaign``: one part of the fault campaign."""

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Run the part that the command line names; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description="Find what breaks, on purpose.")
    parts = parser.add_subparsers(dest="part", required=True)
    inputs = parts.add_parser("inputs", help="bad inputs, each of which must be answered in one clear line")
    inputs.add_argument("--only", default="", help="a part of area/name")
    inputs.add_argument("--jobs", type=int, default=2, help="commands at a time (default: 2)")
    inputs.add_argument("--json", type=Path, help="write what came of each case")
    kills = parts.add_parser("kills", help="random kills of single runs, grids and searches")
    kills.add_argument("--count", type=int, default=200, help="kills in all (default: 200)")
    kills.add_argument("--seed", type=int, default=0, help="of moments, victims and signals (default: 0)")
    kills.add_argument("--only", default="", help="a part of a scenario's name")
    kills.add_argument("--jobs", type=int, default=2, help="projects at a time (default: 2)")
    kills.add_argument("--json", type=Path, help="write what was found")
    disks = parts.add_parser("disks", help="full disks, read-only mounts and moved projects; needs root")
    disks.add_argument("--only", default="", help="a part of a check's name")
    disks.add_argument("--json", type=Path, help="write what came of each check")
    failures = parts.add_parser("failures", help="random failures of machines, databases and grids")
    failures.add_argument("--count", type=int, default=100, help="failures in all (default: 100)")
    failures.add_argument("--seed", type=int, default=0, help="of moments and victims (default: 0)")
    failures.add_argument("--only", default="", help="a part of a search's name, such as joblib or journal")
    failures.add_argument("--json", type=Path, help="write what was found")
    numbers = parts.add_parser("numbers", help="bad values for every number of the configuration")
    numbers.add_argument("--every", type=int, default=1, help="try one in so many (default: 1)")
    options = parser.parse_args()
    if options.part == "inputs":
        from tests.campaign.inputs import run_inputs

        return run_inputs(options.only, options.jobs, options.json)
    if options.part == "failures":
        from tests.campaign.failures import run_failures

        return run_failures(options.count, options.seed, options.only, options.json)
    if options.part == "numbers":
        from tests.campaign.numbers import run_numbers

        return run_numbers(options.every)
    if options.part == "disks":
        from tests.campaign.disks import run_disks

        return run_disks(options.only, options.json)
    from tests.campaign.kills import run_kills

    return run_kills(options.count, options.seed, options.only, options.jobs, options.json)


if __name__ == "__main__":
    sys.exit(main())
