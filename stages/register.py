"""Register the best finished run as a model that takes audio: `encore register genres model=CNN`.

The first word names the registered model in MLflow, which gets a new version. Each KEY=VALUE,VALUE chooses
runs by a tag or a parameter in MLflow, or by `name`; the best has the highest accuracy on validation tracks.
"""

import sys

from stages.core.errors import EncoreError
from stages.entry.command import run_command


def main() -> None:
    """Register the best of the runs that the command line chooses, and print a line about it."""
    from stages.evaluation.params import model_name
    from stages.tracking.finished import Store, wanted
    from stages.tracking.registering import BEST_BY, register

    if not sys.argv[1:]:
        raise EncoreError("no name is given; encore register NAME KEY=VALUE, such as genres model=CNN")
    name, *words = sys.argv[1:]
    try:
        model_name(name)
    except ValueError as error:
        raise EncoreError(f"{name!r} {error}") from None
    found = [run for run in Store().chosen(wanted(words)) if BEST_BY in run.metrics]
    if not found:
        raise EncoreError(f"none of these runs has {BEST_BY}; run them again")
    datasets = sorted({run.tags.get("dataset", "") for run in found})
    if len(datasets) > 1:
        raise EncoreError(
            f"runs of {' and '.join(datasets)} cannot be compared; choose one, such as dataset={datasets[0]}"
        )
    print(register(name, max(found, key=lambda run: run.metrics[BEST_BY]).run_id))


if __name__ == "__main__":
    run_command(main, takes_words=True)
