"""How good it is, beside the linear baseline and class by class."""

from collections import Counter
from collections.abc import Mapping

from stages.reports.card.facts import Facts
from stages.reports.card.markup import escaped, figure, table

N_CONFUSIONS = 5


def interval(scores: Mapping[str, float]) -> str:
    """The 95 % interval of accuracy."""
    return f"{scores['accuracy_ci95_low']:.3f} to {scores['accuracy_ci95_high']:.3f}"


def results(facts: Facts) -> list[str]:
    """Scores, what they tell apart, classes and confusions."""
    return [
        "## Results",
        _scores(facts),
        "Intervals are percentile bootstraps over tracks, whose segments stay together. The linear "
        "baseline is logistic regression on the mean and deviation of a feature over each segment.",
        f"{_comparison(facts)} {_chance(facts)}",
        "### Classes",
        *_classes(facts),
        *figure("confusion_test", "Test tracks by class (down) and by what they are taken for (across)."),
        "The same of the [training](figures/confusion_train.png) and "
        "[validation](figures/confusion_valid.png) tracks.",
    ]


def _scores(facts: Facts) -> str:
    name, baseline = facts.description.model, "linear baseline"
    rows = []
    for who, key, side, level in (
        (name, "test", "test", "track"),
        (baseline, "baseline", "test", "track"),
        (name, "test", "test", "segment"),
        (baseline, "baseline", "test", "segment"),
        (name, "valid", "valid", "track"),
        (name, "train", "train", "track"),
    ):
        scores = facts.scores[key][level]
        n = len(facts.side(side)) if level == "track" else facts.n_segments(side)
        numbers = [f"{scores[metric]:.3f}" for metric in ("accuracy", "macro_f1", "balanced_accuracy")]
        rows.append([who, f"{n:,} {side} {level}s", numbers[0], interval(scores), *numbers[1:]])
    return table(["", "judged on", "accuracy", "95 % interval", "macro-F1", "balanced accuracy"], rows)


def _comparison(facts: Facts) -> str:
    """What the intervals say about model and baseline, and no more."""
    test, linear = facts.scores["test"]["track"], facts.scores["baseline"]["track"]
    points = 100 * (test["accuracy"] - linear["accuracy"])
    where = f"{abs(points):.1f} points {'above' if points > 0 else 'below'}" if points else "level with"
    apart = (
        test["accuracy_ci95_low"] > linear["accuracy_ci95_high"]
        or test["accuracy_ci95_high"] < linear["accuracy_ci95_low"]
    )
    verdict = (
        "Their intervals do not overlap: they tell the two apart."
        if apart
        else "Their intervals overlap: they do not tell the two apart, though a paired test might."
    )
    return f"On test tracks the model is {where} the linear baseline. {verdict}"


def _chance(facts: Facts) -> str:
    train = Counter(row.label for row in facts.side("train"))
    commonest = min(train, key=lambda label: (-train[label], label))
    test = [row.label for row in facts.side("test")]
    score = test.count(commonest) / len(test)
    return f"Always naming the largest class of train ({escaped(commonest)}) would score {score:.3f}."


def _classes(facts: Facts) -> list[str]:
    test = [row for row in facts.confused if row.split == "test" and row.n]
    n_taken: Counter[str] = Counter()
    for row in test:
        n_taken[row.predicted] += row.n
    rows = [
        [
            escaped(row.label),
            f"{row.precision:.2f}" if n_taken[row.label] else "-",
            f"{row.recall:.2f}" if row.n else "-",
            f"{row.f1:.2f}" if row.n or n_taken[row.label] else "-",
            f"{row.n:,}",
            f"{n_taken[row.label]:,}",
        ]
        for row in facts.classes
    ]
    n_of = {row.label: row.n for row in facts.classes}
    wrong = [row for row in test if row.label != row.predicted]
    wrong.sort(key=lambda row: (-row.n, row.label, row.predicted))
    confusions = [
        [escaped(row.label), escaped(row.predicted), f"{row.n:,} of {n_of[row.label]:,}"]
        for row in wrong[:N_CONFUSIONS]
    ]
    return [
        table(["class", "precision", "recall", "F1", "test tracks", "taken for it"], rows),
        *(
            ["The largest confusions:", table(["class", "taken for", "test tracks"], confusions)]
            if confusions
            else ["No test track is taken for another class."]
        ),
    ]
