"""The labels that people have corrected: `dataset.labels` of every source may be a table of verdicts."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from stages.core.errors import EncoreError, some
from stages.core.tables import RawTrack
from stages.core.user_tables import has_column, readable, spelled
from stages.correcting.verdict import Verdict, current, read_verdicts
from stages.sources.params import SourceParams

PARAMETER = "dataset.labels"


def has_corrections(params: SourceParams) -> bool:
    """Return whether `dataset.labels` is given and has a column verdict.

    Raises
    ------
    EncoreError
        If the file cannot be read, or it has no such column and the source takes no other tables.
    """
    if params.labels is None:
        return False
    path = Path(params.labels)
    with readable(path, PARAMETER):
        found = has_column(path.read_bytes(), "verdict")
    if not found and not params.takes_table_of_labels:
        raise EncoreError(
            f"{PARAMETER}: {path} has no column verdict; {params.name} takes verdicts, as `encore serve` "
            "writes them, and only dataset=folder a table of path and label"
        )
    return found


def corrected(tracks: Iterable[RawTrack], params: SourceParams) -> list[RawTrack]:
    """Return the tracks with the labels of the verdicts about them; all others keep theirs.

    Of several verdicts about a track the last one counts. What nobody can label has none: it is neither
    learnt nor scored.

    Raises
    ------
    EncoreError
        If `dataset.labels` is no table of verdicts; see `has_corrections`.
    """
    verdicts = _verdicts(params)
    return [
        replace(track, label=verdicts[name].label) if (name := spelled(track.track_id)) in verdicts else track
        for track in tracks
    ]


def corrections_in_words(
    tracks: Collection[RawTrack], taken: Iterable[RawTrack], params: SourceParams
) -> list[str]:
    """Return lines about what the verdicts have changed, and about those that changed nothing.

    Parameters
    ----------
    tracks : collection of RawTrack
        Every track that there is, as the source labels it.
    taken : iterable of RawTrack
        Those that are used, `corrected`.
    params : SourceParams
    """
    if not has_corrections(params):
        return []
    verdicts = _verdicts(params)
    labels = {spelled(track.track_id): track.label for track in tracks}
    now = {spelled(track.track_id): track.label for track in taken}
    used = verdicts.keys() & now.keys()
    changed = {name for name in used if now[name] != labels[name]}
    n_new = sum(bool(now[name]) for name in changed)
    counts = [f"{n_new} label{'' if n_new == 1 else 's'} corrected"]
    for n, what in (
        (len(changed) - n_new, "taken away (ambiguous or broken audio)"),
        (len(used) - len(changed), "left as they are"),
        (len(verdicts.keys() & labels.keys()) - len(used), "of tracks that are not chosen"),
    ):
        counts += [f"{n} {what}"] if n else []
    lines = [f"{', '.join(counts)}, by {params.labels}"]
    if unknown := sorted(verdicts.keys() - labels.keys()):
        lines.append(
            f"{params.labels} judges tracks that are not there, {len(unknown)} in all: {some(unknown)}"
        )
    return lines


def caveat_of(params: SourceParams) -> str:
    """Return what reports must say beside a number from corrected labels; empty: there are no verdicts."""
    if not _verdicts(params):
        return ""
    return (
        f"Labels are corrected by people's verdicts ({Path(str(params.labels)).name}): accuracies are not "
        "comparable with those on the original labels, and flattered where mostly wrong predictions were "
        "judged."
    )


def changed_since(tracks: Iterable[RawTrack], params: SourceParams) -> list[str]:
    """Return the track_ids of fetched tracks whose music is not what the verdict about them was given on."""
    verdicts = _verdicts(params)
    return [
        track.track_id
        for track in tracks
        if (verdict := verdicts.get(spelled(track.track_id))) and verdict.sha256 not in ("", track.sha256)
    ]


def _verdicts(params: SourceParams) -> Mapping[str, Verdict]:
    """Return the verdict about each track, by its track_id as it is `spelled`."""
    if params.labels is None or not has_corrections(params):
        return {}
    rows = current(read_verdicts(Path(params.labels), PARAMETER)).values()
    return {spelled(row.track_id): row for row in rows}
