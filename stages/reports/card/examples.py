"""Which test tracks the card asks the model about: one that it got right, and one that it got wrong."""

import shlex
from pathlib import PurePath
from typing import NamedTuple

from stages.reports.card.facts import Facts
from stages.reports.card.markup import escaped

MUSIC = PurePath("data/raw/music")


class Examples(NamedTuple):
    """A command, and what the evaluation says about its files.

    Attributes
    ----------
    command : str
    about : str
        A sentence, as Markdown.
    """

    command: str
    about: str


def examples(facts: Facts) -> Examples:
    """Choose the first test track of either kind that is no shorter than a segment, as far as there are any.

    The pipeline pads shorter ones; a prediction for a file does not.
    """
    long = {row.track_id: row.path for row in facts.quality if row.duration_s >= facts.segment_s}
    rows = sorted(
        (row for row in facts.novelties if row.split == "test" and row.track_id in long),
        key=lambda row: row.track_id,
    )
    chosen, sentences = [], []
    for name, is_right in (("got right", True), ("got wrong", False)):
        row = next((row for row in rows if (row.label == row.nearest) == is_right), None)
        if row is None:
            sentences.append(f"there is no test track that it {name}")
            continue
        chosen.append(shlex.quote((MUSIC / long[row.track_id]).as_posix()))
        what = f"{escaped(row.track_id)} ({escaped(row.label)}) is a test track that it {name}"
        sentences.append(what if is_right else f"{what}, as {escaped(row.nearest)}")
    command = " ".join(["encore predict", *(chosen or ["FILE"])])
    return Examples(command, f"{'; '.join(sentences)}.")
