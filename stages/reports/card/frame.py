"""What stands around the findings: the result in a line, what it is good for, whose the music is."""

from stages.reports.card.facts import Facts
from stages.reports.card.markup import bullets, counted, escaped
from stages.reports.card.results import interval


def head(facts: Facts) -> list[str]:
    """Name, caveat and result."""
    test, linear = facts.scores["test"]["track"], facts.scores["baseline"]["track"]
    caveat = escaped(facts.source["caveat"])
    return [
        f"# {facts.description.model} on {escaped(facts.source['name'])}",
        *([f"> {caveat}"] if caveat else []),
        f"Accuracy on {counted(len(facts.side('test')), 'test track')}: **{test['accuracy']:.3f}**, "
        f"95 % interval {interval(test)}. Linear baseline: {linear['accuracy']:.3f}, {interval(linear)}.",
    ]


def intended_use(facts: Facts) -> list[str]:
    """What it is meant for, and what not."""
    return [
        "## Intended use",
        "To compare classifiers on this dataset and split, and to name the class of music like that in the "
        "training data. Not meant for:",
        bullets(
            [
                f"music of other kinds: one of the {len(facts.description.labels)} classes is named, "
                "however little it fits, and only the novelty says so, as far as New music shows;",
                "music of several classes at once: a track has one here;",
                f"tracks shorter than a segment, {facts.segment_s:g} s;",
                "uses that take the probabilities at their word: their calibration was not measured.",
            ]
        ),
    ]


def licence(facts: Facts) -> list[str]:
    """Of the music."""
    known = {key: escaped(facts.source[key]) or "unknown" for key in ("licence", "citation")}
    return [
        "## Licence and citation",
        bullets([f"Licence of the music: {known['licence']}.", f"Citation: {known['citation']}."]),
    ]


def repetition(facts: Facts) -> list[str]:
    """How to get these numbers again, and by what they are known."""
    about = facts.description
    return [
        "## Repeat it",
        "```\ndvc repro\n```",
        "with the code and the params.yaml that made this card. On the CPU of one kind of machine the "
        "numbers come out the same; on a GPU the last digits vary.",
        bullets(
            [
                f"Training: content key `{about.content_key}`, a hash of its inputs, parameters and code; "
                "its MLflow run has it as the tag `content_key`.",
                f"Audio: SHA-256 `{about.feature.audio_sha256}` over all samples.",
                f"Features: made with {about.feature.made_with}.",
            ]
        ),
    ]
