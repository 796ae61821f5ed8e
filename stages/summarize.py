"""Print the result of the pipeline in a few lines."""

import json
from pathlib import Path

from stages.core.documents import read_document
from stages.core.errors import EncoreError
from stages.entry.command import run_command
from stages.reports.summary import headline
from stages.training.description import Description

METRICS = Path("data/evaluation/metrics.json")


def main() -> None:
    """Print the short table and where to look next."""
    try:
        metrics = json.loads(METRICS.read_text("utf-8"))
        description = Description.load(Path("data/model"))
        source = read_document(Path("data/raw/source.json"))
    except FileNotFoundError as error:
        raise EncoreError(f"{error.filename}: not there yet; run `make repro` first") from None
    print(f"\n{description.model} on {source['name']}")
    if source["caveat"]:
        print(source["caveat"])
    print()
    try:
        print("\n".join(headline(metrics, description.model)))
    except KeyError:
        raise EncoreError(f"{METRICS}: of another version; run `dvc repro`") from None
    print("\nreport and figures: data/evaluation/   then: source .venv/bin/activate")
    print("encore predict FILE    encore run model=lstm    encore ui    encore --help")


if __name__ == "__main__":
    run_command(main)
