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
    options = parser.parse_args()
    from tests.campaign.inputs import run_inputs

    return run_inputs(options.only, options.jobs, options.json)


if __name__ == "__main__":
    sys.exit(main())
