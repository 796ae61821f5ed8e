"""The scores that are sent to MLflow."""

from collections.abc import Mapping

from stages.evaluation.retrieval import OWN


def tracked(
    scores: Mapping[str, Mapping[str, Mapping[str, float]]],
    minus_baseline: Mapping[str, float],
    open_set: Mapping[str, float],
    retrieved: Mapping[str, Mapping[str, float]],
) -> dict[str, float]:
    """Name the scores that a run is compared by; ``test/accuracy``, of test tracks, is in a section ``test``.

    MLflow's page of a run sorts sections by name, and nothing else orders them: what is about test tracks
    begins with test, so that it comes first, the baseline next. Curves, without a section, come last.

    MLflow's comparison of runs hides metrics from 45 on, so these are not all: of the intervals only those of
    accuracy per test track are among them.

    Parameters
    ----------
    scores, minus_baseline, open_set : mapping
        As in `stages.evaluation.scoring.Evaluation`; of `open_set` only where there are unknown classes.
    retrieved : mapping
        From `stages.evaluation.retrieval.at_5`; of these only the model's, and only without unknown classes.
    """
    flat = _section("test", scores["test"]["track"])
    flat |= _section("test_baseline", scores["baseline"]["track"])
    flat |= {f"test_minus_baseline/{name}": float(value) for name, value in minus_baseline.items()}
    if "auroc" in open_set:
        flat |= {f"test_open_set/{name}": float(value) for name, value in open_set.items()}
    else:  # with both there would be too many
        flat |= {f"test_retrieval/{name}": value for name, value in retrieved.get(OWN, {}).items()}
    others = _section("test_segments", scores["test"]["segment"])
    for split in ("train", "valid"):
        others |= _section(split, scores[split]["track"])
    return flat | {name: value for name, value in others.items() if "_ci95_" not in name}


def _section(name: str, scores: Mapping[str, float]) -> dict[str, float]:
    return {
        f"{name}/{score}": float(value)
        for score, value in scores.items()
        if not score.startswith(("macro_f1_", "balanced_accuracy_"))
    }
