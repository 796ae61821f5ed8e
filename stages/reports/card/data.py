"""What the card says about the split of the music."""

from collections import Counter
from pathlib import PurePath

from stages.reports.card.facts import Facts
from stages.reports.card.markup import assignments, counted, escaped, in_brackets

TOGETHER = "Tracks that share a group (artist, album or work) or a recording are in one split."
KEPT_APART = {
    "grouped": TOGETHER,
    "kfold": TOGETHER,
    "stratified": "Copies of a recording are in one split; artists, albums and works are not kept apart.",
    "published": "The dataset publishes the split; Encore only makes sure that no track is in two.",
    "file": "A file gives the split; Encore only makes sure that no track is in two.",
}
# The path is personal; unknown classes are listed under New music; `watch` is for DVC.
HIDDEN = ("name", "watch", "path", "unknown_classes")


def split_method(facts: Facts) -> str:
    """Return how the split was made, and what it keeps apart."""
    name = facts.scheme["name"]
    settings = {key: value for key, value in facts.scheme.items() if key not in HIDDEN}
    file = escaped(PurePath(facts.scheme.get("path", "")).name)
    return f"{name}{in_brackets(file or assignments(settings))}. {KEPT_APART[name]}"


def balance(facts: Facts) -> str:
    """Return how many training tracks the classes have."""
    per_class = sorted(Counter(row.label for row in facts.of("train")).items(), key=lambda item: item[::-1])
    (rarest, least), (commonest, most) = per_class[0], per_class[-1]
    if most == least:
        return f"balanced, {counted(most, 'track')} each"
    return (
        f"from {least:,} ({escaped(rarest)}) to {most:,} tracks ({escaped(commonest)}), "
        f"a ratio of {most / least:.1f}"
    )
