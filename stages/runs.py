"""List finished runs, such as `python -m stages.runs dataset=gtzan`, the latest first.

Each KEY=VALUE,VALUE chooses runs by a tag or a parameter in MLflow, or by `name`. `dvc exp apply` takes the
names of experiments.
"""

import sys

from stages.entry.command import run_command


def main() -> None:
    """Print a line for each of the runs that the command line chooses."""
    from stages.reports.runs import lines
    from stages.tracking.finished import Store, wanted

    choice = wanted(sys.argv[1:])
    found = Store().chosen(choice)
    print("\n".join(lines((run.name, run.tags, run.metrics, run.started) for run in found)))


if __name__ == "__main__":
    run_command(main, takes_words=True)
