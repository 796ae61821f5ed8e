"""Whether it sees that music is new to it."""

from stages.reports.card.facts import Facts
from stages.reports.card.markup import counted, escaped, figure, table

N_LISTED = 10


def novelty(facts: Facts) -> list[str]:
    """The threshold, how it does on unknown classes, and the unlabelled tracks that are most likely new."""
    scores = facts.open_set
    measure = (
        "the distance to the nearest class prototype (0 to 2)"
        if facts.description.embedding_size
        else "one minus the highest class probability"
    )
    return [
        "## New music",
        f"Novelty of a track is the mean over its segments of {measure}. Tracks over "
        f"{scores['threshold']:.3f}, a threshold that validation tracks have set, count as new; "
        f"{100 * (1 - scores['known_accepted']):.1f} % of the test tracks do, wrongly. "
        "[novelty.csv](novelty.csv) lists these tracks, and all that are unknown or unlabelled.",
        *(_unknown(facts) if "auroc" in scores else []),
        *_unlabelled(facts),
        *_figure(facts),
    ]


def _unknown(facts: Facts) -> list[str]:
    scores, unknown = facts.open_set, facts.side("unknown")
    classes = ", ".join(escaped(label) for label in sorted({row.label for row in unknown}))
    rows = [
        [
            who,
            f"{areas['auroc']:.3f}",
            f"{areas['auroc_ci95_low']:.3f} to {areas['auroc_ci95_high']:.3f}",
        ]
        for who, areas in (
            (facts.description.model, scores),
            ("linear baseline", facts.scores["baseline"]["open_set"]),
        )
    ]
    return [
        f"Held out from training: {counted(len(unknown), 'track')} of {classes}. "
        f"{100 * scores['unknown_found']:.1f} % of them are found new. With new music as one more class the "
        f"balanced accuracy is {scores['balanced_accuracy']:.3f}. AUROC is the probability that a track held "
        "out has a higher novelty than a test track:",
        table(["", "AUROC", "95 % interval"], rows),
    ]


def _unlabelled(facts: Facts) -> list[str]:
    rows = [row for row in facts.novelties if row.split == "unlabelled"]
    if not rows:
        return []
    n_new = sum(row.is_new == "yes" for row in rows)
    listed = [
        [escaped(row.track_id), escaped(row.nearest), f"{row.novelty:.3f}", row.is_new]
        for row in rows[:N_LISTED]
    ]
    return [
        f"{n_new:,} of {counted(len(rows), 'unlabelled track')} count as new. The most novel:",
        table(["track", "nearest class", "novelty", "new"], listed),
    ]


def _figure(facts: Facts) -> list[str]:
    if not any(facts.side(side) for side in ("unknown", "unlabelled")):
        return []
    return figure(
        "novelty", "Tracks by novelty; dotted: the threshold. The further apart the sides, the better."
    )
