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
        What each test track was compared with.
    at : list of int
        The numbers of similar tracks.
    rows : list of (str, list of Retrieval)
        By name of what was compared, one for each of `at`; empty: there are too few test tracks.
    """

    pool: str
    at: list[int]
    rows: list[tuple[str, list[Retrieval]]]


def similar(facts: Facts) -> SimilarSection:
    """Return what the card says about similar music: without tracks of the same artist, where that can be."""
    found = [row for row in facts.retrieved if row.same_artist == REMOVED]
    pool = "with all other test tracks, but for those of its own artist or recording"
    if not found:
        found = [row for row in facts.retrieved if row.same_artist == ALLOWED]
        pool = (
            "with all other test tracks, also those of its own artist, which makes it easy: without them no "
            "genre has a second track"
        )
    names = {OWN: escaped(facts.description.model)}
    rows: dict[str, list[Retrieval]] = {}
    for row in found:
        name = names.get(row.embedding, f"{escaped(row.embedding)} alone")
        rows.setdefault(name, []).append(row)
    return SimilarSection(pool, sorted({row.k for row in found}), list(rows.items()))
