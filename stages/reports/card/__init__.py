"""The model card of an evaluation, in the manner of Mitchell et al., Model cards for model reporting, 2019.

The text is the template ``card.md.jinja``. What depends on the run, such as a limit or a comparison, is
decided in the modules beside it.
"""

from pathlib import Path

from stages.reports.card.data import balance, split_method
from stages.reports.card.examples import examples
from stages.reports.card.facts import Facts
from stages.reports.card.limits import limits
from stages.reports.card.markup import template
from stages.reports.card.novelty import novelty
from stages.reports.card.results import class_tables, comparison, majority
from stages.reports.card.settings import settings
from stages.reports.card.similar import similar

__all__ = ["Facts", "markdown"]


def markdown(facts: Facts) -> str:
    """Return the card, ``data/evaluation/README.md``: a function of the facts alone.

    Parameters
    ----------
    facts : Facts

    Returns
    -------
    str
        Markdown as GitHub shows it; links are relative to ``data/evaluation``.
    """
    return template(Path(__file__).with_name("card.md.jinja")).render(
        facts=facts,
        about=facts.description,
        test=facts.scores["test"],
        baseline=facts.scores["baseline"],
        comparison=comparison(facts),
        majority=majority(facts),
        limits=limits(facts),
        classes=class_tables(facts),
        novelty=novelty(facts),
        similar=similar(facts),
        split_method=split_method(facts),
        balance=balance(facts),
        examples=examples(facts),
        settings=settings(facts),
    )
