"""How good the model is, beside the linear baseline and class by class."""

from collections import Counter
from dataclasses import dataclass

from stages.evaluation.metrics import largest_class
from stages.reports.card.facts import Facts
from stages.reports.card.markup import escaped

MOST_CLASSES = 16  # of more than these the table has only the best and the worst
N_AT_EACH_END = 5
N_CONFUSIONS = 3
N_CONFUSIONS_OF_MANY = 10  # when there are too many classes to read them off the picture
P = 0.05  # of McNemar's test, which must agree with the interval


@dataclass(frozen=True)
class ClassRow:
    """A row of the table of classes, which has `n` test tracks; None: undefined."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    n: int


@dataclass(frozen=True)
class Confusion:
    """A class that is predicted as another: `n` test tracks of `n_of_class`."""

    label: str
    predicted: str
    n: int
    n_of_class: int


@dataclass(frozen=True)
class ClassTables:
    """The tables of classes and of confusions, and how much they leave out.

    Attributes
    ----------
    shown : list of ClassRow
        All classes in their order; of many only those with the lowest and the highest F1, in that order.
    n_hidden : int
    confusions : list of Confusion
        The largest ones.
    n_confusions : int
        How many there are.
    """

    shown: list[ClassRow]
    n_hidden: int
    confusions: list[Confusion]
    n_confusions: int


def comparison(facts: Facts) -> str:
    """Return what the paired difference says about model and baseline, and no more."""
    found = facts.minus_baseline
    points, low, high = (100 * found[f"accuracy{end}"] for end in ("", "_ci95_low", "_ci95_high"))
    where = (
        f"{abs(points):.1f} points {'above' if points > 0 else 'below'}"
        if found["accuracy"]
        else "level with"
    )
    verdict = (
        "chance alone hardly explains the difference"
        if (low > 0 or high < 0) and found["p"] < P
        else "which one is better is not certain"
    )
    return (
        f"The model is {where} the linear baseline on the same tracks (95 % interval {low:+.1f} to "
        f"{high:+.1f} over {facts.units}, McNemar's p {found['p']:.2g}): {verdict}."
    )


def majority(facts: Facts) -> str:
    """Return the accuracy of always predicting the largest class of train."""
    train, test = ([row.label for row in facts.of(name)] for name in ("train", "test"))
    label, score = largest_class(train, test)
    return f"Always predicting the largest class of train ({escaped(label)}) would score {score:.3f}."


def class_tables(facts: Facts) -> ClassTables:
    """Return the scores of each class, or of the best and the worst, and the largest confusions."""
    rows = _class_rows(facts)
    shown, n_confusions = rows, N_CONFUSIONS
    if len(rows) > MOST_CLASSES:
        n_confusions = N_CONFUSIONS_OF_MANY
        ranked = sorted((row.f1, row.label, row) for row in rows if row.f1 is not None)
        worst, others = ranked[:N_AT_EACH_END], ranked[N_AT_EACH_END:]
        shown = [row for *_, row in worst + others[-N_AT_EACH_END:]]
    n_of_class = {row.label: row.n for row in facts.classes}
    wrong = [row for row in facts.confused if row.split == "test" and row.n and row.label != row.predicted]
    wrong.sort(key=lambda row: (-row.n, row.label, row.predicted))
    confusions = [
        Confusion(row.label, row.predicted, row.n, n_of_class[row.label]) for row in wrong[:n_confusions]
    ]
    return ClassTables(shown, len(rows) - len(shown), confusions, len(wrong))


def _class_rows(facts: Facts) -> list[ClassRow]:
    n_predicted: Counter[str] = Counter()
    for row in facts.confused:
        if row.split == "test":
            n_predicted[row.predicted] += row.n
    return [
        ClassRow(
            label=row.label,
            precision=row.precision if n_predicted[row.label] else None,
            recall=row.recall if row.n else None,
            f1=row.f1 if row.n or n_predicted[row.label] else None,
            n=row.n,
        )
        for row in facts.classes
    ]
