"""The scores that are sent to MLflow."""

from collections.abc import Mapping


def tracked(
    scores: Mapping[str, Mapping[str, Mapping[str, float]]],
    minus_baseline: Mapping[str, float],
    open_set: Mapping[str, float],
) -> dict[str, float]:
    """Name the scores that a run is compared by; ``test/accuracy``, of test tracks, is in a section ``test``.

    MLflow's comparison of runs hides metrics from 45 on, so these are not all: of the intervals only that of
    accuracy is among them.

    Parameters
    ----------
    scores, minus_baseline, open_set : mapping
        As in `stages.evaluation.scoring.Evaluation`; of `open_set` only where there are unknown classes.
    """
    flat = {
        f"{split}{'' if level == 'track' else '_segments'}/{name}": float(value)
        for split, levels in scores.items()
        for level, values in levels.items()
        for name, value in values.items()
        if level == "track" or (level == "segment" and split == "test")
        if not name.startswith(("macro_f1_", "balanced_accuracy_"))
    }
    flat |= {f"minus_baseline/{name}": float(value) for name, value in minus_baseline.items()}
    if "auroc" in open_set:
        flat |= {f"open_set/{name}": float(value) for name, value in open_set.items()}
    return flat
