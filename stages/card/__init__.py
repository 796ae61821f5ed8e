"""The model card of an evaluation, in the manner of Mitchell et al., Model cards for model reporting, 2019.

A section is a function of the facts that returns blocks of Markdown; `SECTIONS` says which there are.
"""

from stages.card.data import data
from stages.card.facts import Facts
from stages.card.frame import head, intended_use, licence, repetition
from stages.card.limits import limits
from stages.card.model import model
from stages.card.novelty import novelty
from stages.card.results import results
from stages.card.training import training

__all__ = ["SECTIONS", "Facts", "markdown"]

SECTIONS = (head, model, intended_use, data, training, results, novelty, limits, licence, repetition)


def markdown(facts: Facts) -> str:
    """The card, ``data/evaluation/README.md``: a function of the facts alone."""
    return "\n\n".join(block for section in SECTIONS for block in section(facts)) + "\n"
