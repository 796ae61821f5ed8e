"""The model card of an evaluation, in the manner of Mitchell et al., Model cards for model reporting, 2019.

A section is a function of the facts that returns blocks of Markdown; `SECTIONS` says which there are.
"""

from stages.reports.card.data import data
from stages.reports.card.facts import Facts
from stages.reports.card.frame import head, intended_use, licence, repetition
from stages.reports.card.limits import limits
from stages.reports.card.model import model
from stages.reports.card.novelty import novelty
from stages.reports.card.results import results
from stages.reports.card.training import training

__all__ = ["SECTIONS", "Facts", "markdown"]

SECTIONS = (head, model, intended_use, data, training, results, novelty, limits, licence, repetition)


def markdown(facts: Facts) -> str:
    """The card, ``data/evaluation/README.md``: a function of the facts alone."""
    return "\n\n".join(block for section in SECTIONS for block in section(facts)) + "\n"
