"""The result in a few lines; run as a module, it prints them."""

import json
from pathlib import Path
from typing import Any

from stages.card.results import interval
from stages.errors import EncoreError, run

METRICS = Path("data/evaluation/metrics.json")


def headline(metrics: dict[str, Any], model: str) -> list[str]:
    """The model and the linear baseline per test track, as lines of a table."""
    lines = [f"{'per test track':<18}{'accuracy':>9}  {'95 % interval':<15}{'macro-F1':>9}{'balanced':>10}"]
    for name, scores in (
        (model, metrics["test"]["track"]),
        ("linear baseline", metrics["baseline"]["track"]),
    ):
        lines.append(
            f"{name:<18}{scores['accuracy']:>9.3f}  {interval(scores):<15}"
            f"{scores['macro_f1']:>9.3f}{scores['balanced_accuracy']:>10.3f}"
        )
    return lines


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
    run(main)
