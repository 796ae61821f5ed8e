"""List finished runs, such as `encore runs dataset=gtzan`, the latest first.

Each KEY=VALUE,VALUE chooses runs by a tag or a parameter in MLflow, or by `name`. `dvc exp apply` takes the
names of experiments, and `--run` of other commands those of runs. `--json` prints all that is known of each.
"""

import json
import sys
from dataclasses import asdict

from stages.entry.command import run_command


def main() -> None:
    """Print a line for each of the runs that the command line chooses."""
    from stages.reports.runs import lines
    from stages.tracking.finished import Store, wanted

    words = [word for word in sys.argv[1:] if word != "--json"]
    found = Store().chosen(wanted(words))
    if len(words) < len(sys.argv[1:]):
        print(json.dumps([asdict(run) for run in found], indent=2))
        return
    print("\n".join(lines((run.name, run.tags, run.metrics, run.started) for run in found)))


if __name__ == "__main__":
    run_command(main, takes_words=True)
