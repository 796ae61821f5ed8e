"""What it learnt from and was judged by."""

from collections import Counter
from pathlib import PurePath

from stages.reports.card.facts import Facts
from stages.reports.card.markup import bullets, code, counted, escaped, in_brackets, table
from stages.splitting.schemes import SPLITS

TOGETHER = "Tracks that share a group (artist, album or work) or a recording stand on one side"
KEPT_APART = {
    "grouped": TOGETHER,
    "kfold": TOGETHER,
    "stratified": "Copies of a recording stand on one side; artists, albums and works are not kept apart",
    "published": "The dataset publishes the sides; Encore makes sure of tracks alone",
    "file": "A file gives the sides; Encore makes sure of tracks alone",
}


def data(facts: Facts) -> list[str]:
    """Files, split, and tracks of each class."""
    per_side = {side: Counter(row.label for row in facts.side(side)) for side in SPLITS}
    rows = [
        [escaped(label), *(f"{per_side[side][label]:,}" for side in SPLITS)]
        for label in facts.description.labels
    ]
    rows.append(["all tracks", *(f"{per_side[side].total():,}" for side in SPLITS)])
    rows.append(["all segments", *(f"{facts.n_segments(side):,}" for side in SPLITS)])
    return [
        "## Data",
        bullets([_files(facts), *_split(facts), _balance(per_side["train"])]),
        table(["class", *SPLITS], rows),
    ]


def _files(facts: Facts) -> str:
    """What became of every file that was found."""
    kept, dropped = (
        Counter(row.verdict for row in facts.quality if row.outcome == outcome and row.verdict != "good")
        for outcome in ("kept", "dropped")
    )
    sides = Counter(row.split for row in facts.split)
    unused = {
        "of classes held out as unknown": sides["unknown"],
        "unlabelled": sides["unlabelled"],
        "excluded by the split": sides["excluded"],
        "shorter than a segment": sum(track.n_segments == 0 for track in facts.tracks),
    }
    text = f"Dataset: {escaped(facts.source['name'])}. {counted(len(facts.quality), 'file')} found, "
    text += f"{dropped.total():,} dropped{in_brackets(_listed(dropped))}."
    if kept:
        text += f" Kept, but noted: {_listed(kept)}."
    if any(unused.values()):
        text += f" Kept, but on no side: {_listed(Counter(unused))}."
    return text


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{n:,} {what}" for what, n in sorted(counts.items()) if n)


def _split(facts: Facts) -> list[str]:
    scheme = facts.scheme["name"]
    hidden = ("name", "watch", "path", "unknown_classes")  # the last one is told with the files
    how = {key: value for key, value in facts.scheme.items() if key not in hidden}
    file = escaped(PurePath(facts.scheme.get("path", "")).name)
    groups, recordings = facts.groups(facts.judged), facts.recordings(facts.judged)
    n_known = sum(map(bool, groups))
    return [
        f"Split: {scheme}{in_brackets(file or code(how))}. {KEPT_APART[scheme]}. Segments of a track stay "
        "together.",
        f"Groups: known of {n_known:,} of {counted(len(groups), 'track')}, "
        f"{len(set(groups) - {''}):,} different ones, {facts.n_on_two_sides(groups):,} on two sides.",
        f"Recordings: {len(set(recordings)):,} different ones, "
        f"{facts.n_on_two_sides(recordings):,} on two sides.",
    ]


def _balance(train: Counter[str]) -> str:
    most, least = max(train.values()), min(train.values())
    if most == least:
        return f"Classes in train: balanced, {counted(most, 'track')} each."
    return f"Classes in train: {least:,} to {most:,} tracks, a ratio of {most / least:.1f}."
