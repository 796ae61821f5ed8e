"""What an evaluation says in words and tables; run as a module, it prints the short one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.errors import EncoreError, run
from stages.metrics import ClassScores

METRICS = Path("data/evaluation/metrics.json")


def headline(metrics: dict[str, Any], model: str) -> list[str]:
    """The model and the linear baseline per test track, as lines of a table."""
    lines = [f"{'per test track':<18}{'accuracy':>9}  {'95 % interval':<15}{'macro-F1':>9}{'balanced':>10}"]
    for name, scores in (
        (model, metrics["test"]["track"]),
        ("linear baseline", metrics["baseline"]["track"]),
    ):
        interval = f"{scores['accuracy_ci95_low']:.3f} to {scores['accuracy_ci95_high']:.3f}"
        lines.append(
            f"{name:<18}{scores['accuracy']:>9.3f}  {interval:<15}"
            f"{scores['macro_f1']:>9.3f}{scores['balanced_accuracy']:>10.3f}"
        )
    return lines


def markdown(
    metrics: dict[str, Any],
    model: str,
    classes: Sequence[ClassScores],
    source: dict[str, str],
    n_tracks: dict[str, int],
) -> str:
    """The report of an evaluation, ``data/evaluation/README.md``.

    Parameters
    ----------
    metrics : dict
        What metrics.json holds.
    model : str
        Name of the model.
    classes : sequence of ClassScores
        Of test tracks.
    source : dict
        name, licence, citation and caveat of the music.
    n_tracks : dict
        Number of tracks on each side.
    """
    lines = [f"# {model} on {source['name']}", ""]
    if source["caveat"]:
        lines += [f"> {source['caveat']}", ""]
    counts = ", ".join(f"{n} {side}" for side, n in n_tracks.items())
    lines += [
        f"Tracks: {counts}. Intervals are 95 % percentile bootstraps over test tracks.",
        "",
        "| | accuracy | 95 % interval | macro-F1 | balanced accuracy |",
        "|---|---|---|---|---|",
    ]
    for name, scores in (
        (f"{model}, per track", metrics["test"]["track"]),
        (f"{model}, per segment", metrics["test"]["segment"]),
        ("linear baseline, per track", metrics["baseline"]["track"]),
    ):
        interval = f"{scores['accuracy_ci95_low']:.3f} to {scores['accuracy_ci95_high']:.3f}"
        lines.append(
            f"| {name} | {scores['accuracy']:.3f} | {interval} "
            f"| {scores['macro_f1']:.3f} | {scores['balanced_accuracy']:.3f} |"
        )
    lines += ["", "| class | precision | recall | F1 | test tracks |", "|---|---|---|---|---|"]
    for row in classes:
        lines.append(f"| {row.label} | {row.precision:.2f} | {row.recall:.2f} | {row.f1:.2f} | {row.n} |")
    lines += [
        "",
        f"Music: {source['name']}; licence: {source['licence']}; citation: {source['citation']}.",
        "",
    ]
    return "\n".join(lines)


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
