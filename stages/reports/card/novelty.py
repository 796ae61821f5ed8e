"""Whether the model finds that music is new to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stages.core.tables import Novelty
from stages.reports.card.facts import Facts
from stages.reports.card.markup import escaped, named

N_LISTED = 10


@dataclass(frozen=True)
class NoveltySection:
    """What the section about new music is made from.

    Attributes
    ----------
    measure : str
        What the novelty of a segment is.
    areas : list of (str, mapping)
        AUROC and its interval, of the model and of the baseline; empty: no classes were held out.
    unknown_classes : str
        Names of the classes that were held out.
    unlabelled : sequence of Novelty
        The most novel unlabelled tracks.
    n_new : int
        How many unlabelled tracks count as new.
    """

    measure: str
    areas: list[tuple[str, Mapping[str, float]]]
    unknown_classes: str
    unlabelled: Sequence[Novelty]
    n_new: int


def novelty(facts: Facts) -> NoveltySection:
    """Return what the card says about new music."""
    unlabelled = [row for row in facts.novelties if row.split == "unlabelled"]
    areas: list[tuple[str, Mapping[str, float]]] = []
    if "auroc" in facts.open_set:
        baseline: Mapping[str, float] = facts.scores["baseline"]["open_set"]
        areas = [(escaped(facts.description.model), facts.open_set), ("linear baseline", baseline)]
    return NoveltySection(
        measure=(
            "the distance to the nearest class prototype (0 to 2)"
            if facts.description.embedding_size
            else "one minus the highest class probability"
        ),
        areas=areas,
        unknown_classes=named(sorted({row.label for row in facts.of("unknown")})),
        unlabelled=unlabelled[:N_LISTED],
        n_new=sum(row.is_new == "yes" for row in unlabelled),
    )
