"""Print the result of the pipeline in a few lines."""

import json
from pathlib import Path

from stages.core.errors import EncoreError
from stages.entry.command import run_command
from stages.reports.summary import headline

METRICS = Path("data/evaluation/metrics.json")


def main() -> None:
    """Print the short table and where to look next."""
    try:
        metrics = json.loads(METRICS.read_text("utf-8"))
        description = json.loads(Path("data/model/model.json").read_text("utf-8"))
        source = json.loads(Path("data/raw/source.json").read_text("utf-8"))
    except FileNotFoundError as error:
        raise EncoreError(f"{error.filename}: not there yet; run `make repro` first") from None
    print(f"\n{description['model']} on {source['name']}")
    if source["caveat"]:
        print(source["caveat"])
    print()
    print("\n".join(headline(metrics, description["model"])))
    print("\nreport and figures: data/evaluation/   runs: make ui   another model: dvc exp run -S model=lstm")


if __name__ == "__main__":
    run_command(main)
