"""Whether similar tracks are of the same genre."""

from dataclasses import dataclass

from stages.evaluation.retrieval import ALLOWED, OWN, REMOVED, Retrieval
from stages.reports.card.facts import Facts
from stages.reports.card.markup import escaped


@dataclass(frozen=True)
class SimilarSection:
    """What the section about similar music is made from.

    Attributes
    ----------
    pool : str
        Which tracks count.
    at : list of int
        The numbers of similar tracks.
    shown : int
        Of these the one whose interval is shown.
    rows : list of (str, list of Retrieval)
        By name of what was compared, one for each of `at`; empty: there are too few test tracks.
    """

    pool: str
    at: list[int]
    shown: int
    rows: list[tuple[str, list[Retrieval]]]


def similar(facts: Facts) -> SimilarSection:
    """Return what the card says about similar music: without tracks of the same artist, where that can be."""
    found = [row for row in facts.retrieved if row.same_artist == REMOVED]
    pool = "without those of the same artist or recording"
    if not found:
        found = [row for row in facts.retrieved if row.same_artist == ALLOWED]
        pool = "with those of the same artist: no genre has two, so that this is easy"
    names = {OWN: escaped(facts.description.model)}
    rows: dict[str, list[Retrieval]] = {}
    for row in found:
        name = names.get(row.embedding, f"{escaped(row.embedding)} alone")
        rows.setdefault(name, []).append(row)
    at = sorted({row.k for row in found})
    return SimilarSection(pool, at, 5 if 5 in at else max(at, default=0), list(rows.items()))
