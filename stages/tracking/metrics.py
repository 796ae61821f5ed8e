"""The scores that are sent to MLflow."""

from collections.abc import Mapping


def tracked(
    scores: Mapping[str, Mapping[str, Mapping[str, float]]], open_set: Mapping[str, float]
) -> dict[str, float]:
    """Name the scores that a run is compared by, flat.

    MLflow's comparison of runs hides metrics from 45 on, so these are not all: of the intervals only that of
    accuracy is among them.

    Parameters
    ----------
    scores, open_set : mapping
        As in `stages.evaluation.scoring.Evaluation`; of `open_set` only where there are unknown classes.
    """
    flat = {
        f"{split}.{level}.{name}": float(value)
        for split, levels in scores.items()
        for level, values in levels.items()
        for name, value in values.items()
        if (level == "track" or split == "test") and not name.startswith(("macro_f1_", "balanced_accuracy_"))
    }
    if "auroc" in open_set:
        flat |= {f"open_set.{name}": float(value) for name, value in open_set.items()}
    return flat
