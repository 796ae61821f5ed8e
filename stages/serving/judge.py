"""Verdicts: taken and on the disk before the answer is sent; what they change; how far reviewers agree."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict

from stages.correcting.agreement import Agreement
from stages.correcting.agreement import agreement as compared
from stages.correcting.journal import Journal
from stages.correcting.verdict import LABELLED, WITHDRAWN, WRONG, Verdict, checked, current
from stages.evaluation.corrected import Summary
from stages.serving import review
from stages.serving.described import ID, NOT_AS_STARTED, UNKNOWN, answer, curl, problem
from stages.serving.music import Track, id_of
from stages.serving.site import Site, site_of
from stages.serving.tracks import track_of

router = APIRouter()


class Said(BaseModel):
    """A verdict to be taken."""

    model_config = ConfigDict(extra="forbid", strict=True)

    verdict: Literal["label_wrong", "ambiguous", "label_right", "broken_audio", "withdrawn"]
    label: str = ""
    was: str | None = None


@dataclass(frozen=True)
class Taken:
    """A verdict that is on the disk.

    Attributes
    ----------
    verdict : Given or None
        None: it was withdrawn.
    summary : Summary
        Of all verdicts, with this one.
    note : str
        What was mended in the journal; empty: nothing.
    """

    verdict: review.Given | None
    summary: Summary
    note: str


@dataclass(frozen=True)
class Verdicts:
    """What the verdicts of the server's reviewer change.

    Attributes
    ----------
    reviewer : str
    reviewers : list of str
        All who have a journal in data/verdicts.
    file : str
        The journal, as `dataset.labels` takes it.
    n_rows : int
        In the journal.
    n_other_music : int
        Tracks whose verdicts do not count, since their music is not here, or is another one now.
    summary : Summary
    """

    reviewer: str
    reviewers: list[str]
    file: str
    n_rows: int
    n_other_music: int
    summary: Summary


@dataclass(frozen=True)
class Beside:
    """How far two reviewers agree.

    Attributes
    ----------
    reviewer, other : str
        The first and the second of the agreement.
    agreement : Agreement
    ids : dict of str to str
        Of the tracks about which they differ, by track_id; those that are here.
    """

    reviewer: str
    other: str
    agreement: Agreement
    ids: dict[str, str]


async def only_json(request: Request) -> None:
    """Refuse a body that is not said to be JSON.

    Raises
    ------
    HTTPException
        415.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, f"content-type is {kind or 'missing'!r}, should be application/json")


NONE = {"label_wrong": 0, "ambiguous": 0, "label_right": 0, "broken_audio": 0}
SUMMARY = {
    "before": {"n": 30, "accuracy": 0.733333, "ci95": [0.472799, 0.893986]},
    "after": {"n": 29, "accuracy": 0.758621, "ci95": [0.497166, 0.908437]},
    "right": {"n": 22, **NONE, "not_judged": 22},
    "wrong": {"n": 8, **NONE, "ambiguous": 1, "not_judged": 7},
    "n_elsewhere": 0,
    "n_known": 0,
    "bias": "1 of 8 wrong predictions were judged, but 0 of 22 right ones: …",
}
EXAMPLES = {
    "judge": {
        "verdict": {"verdict": "ambiguous", "label": "", "time": "2026-11-29T06:24:31Z"},
        "summary": SUMMARY,
        "note": "",
    },
    "verdicts": {
        "reviewer": "me",
        "reviewers": ["anna", "me"],
        "file": "data/verdicts/me.csv",
        "n_rows": 1,
        "n_other_music": 0,
        "summary": SUMMARY,
    },
    "agreement": {
        "reviewer": "me",
        "other": "anna",
        "agreement": {
            "n": 4,
            "n_other_music": 0,
            "observed": 0.75,
            "kappa": 0.5,
            "kappa_ci95": [-0.234987, 1.0],
            "verdicts": ["label_wrong", "ambiguous", "label_right", "broken_audio"],
            "table": [[2, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
            "n_both_wrong": 2,
            "n_same_label": 2,
            "differences": [
                {
                    "track_id": "disco.00007",
                    "path": "disco/disco.00007.wav",
                    "first": "label_wrong",
                    "first_label": "pop",
                    "second": "ambiguous",
                    "second_label": "",
                }
            ],
        },
        "ids": {"disco.00007": ID},
    },
}


@router.post(
    "/tracks/{id}/verdict",
    tags=["Verdicts"],
    summary="Judge a track",
    dependencies=[Depends(only_json)],
    openapi_extra=curl(
        f"/tracks/{ID}/verdict",
        "--header 'content-type: application/json'",
        """--data '{"verdict": "ambiguous"}'""",
    ),
    responses={
        **answer(EXAMPLES["judge"]),
        **UNKNOWN,
        409: problem(
            f"There is no verdict to be taken back; or the label is not `was`. {NOT_AS_STARTED}",
            "disco.00007: there is no verdict that could be taken back",
        ),
        415: problem("The body is no JSON.", "content-type is 'text/plain', should be application/json"),
    },
)
async def judge(
    site: Annotated[Site, Depends(site_of)], track: Annotated[Track, Depends(track_of)], said: Said
) -> Taken:
    """Take a verdict on a track, or take the present one back.

    The body is JSON. `verdict` is label_wrong, with the right genre as `label` if that can be said;
    ambiguous; label_right, so the model is wrong; broken_audio; or withdrawn. `was` is the label that is
    judged, if it is to be compared. It is on the disk when the answer comes.
    The line for curl gives a real verdict, too: withdrawn takes it back.
    """
    return await run_in_threadpool(_judge, site, track, said)


@router.get(
    "/verdicts",
    tags=["Verdicts"],
    summary="What verdicts change",
    openapi_extra=curl("/verdicts"),
    responses=answer(EXAMPLES["verdicts"]),
)
async def verdicts(site: Annotated[Site, Depends(site_of)]) -> Verdicts:
    """Say what the accuracy would be with the verdicts of this server's reviewer."""
    return await run_in_threadpool(_verdicts, site)


@router.get(
    "/verdicts/agreement",
    tags=["Verdicts"],
    summary="How far two reviewers agree",
    openapi_extra=curl("/verdicts/agreement?with=anna"),
    responses={
        **answer(EXAMPLES["agreement"]),
        404: problem("There is no such reviewer.", "with: no other reviewer of that name has a journal; …"),
    },
)
async def agreement(
    site: Annotated[Site, Depends(site_of)],
    other: Annotated[str, Query(alias="with", description="A reviewer; GET /verdicts names all.")],
) -> Beside:
    """Compare with another reviewer the verdicts on those tracks that both have judged."""
    return await run_in_threadpool(_agreement, site, other)


def _judge(site: Site, track: Track, said: Said) -> Taken:
    site.assert_current()
    if said.was not in (None, track.label):
        line = f"its label is {track.label or 'none'!r} now, not {said.was!r}; load the page again"
        raise HTTPException(409, line)
    journal = Journal.of(site.reviewer)
    rows = journal.rows()  # nothing is appended to what cannot be read back
    before = review.present(rows, site.music)
    if said.label and said.verdict != WRONG:
        raise HTTPException(422, f"label: only {WRONG} has one")
    if said.verdict == WITHDRAWN and track.raw.track_id not in before:
        raise HTTPException(409, f"{track.raw.track_id}: there is no verdict that could be taken back")
    verdict = checked(
        Verdict(
            time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            track_id=track.raw.track_id,
            path=track.raw.path,
            sha256=track.raw.sha256,
            verdict=said.verdict,
            label=said.label if said.verdict == WRONG else _label_of(track, said),
            was=track.label,
            predicted=track.evaluated.predicted if track.evaluated else "",
            model=site.version,
            reviewer=site.reviewer,
        )
    )
    note = journal.append(verdict)
    now = review.present([*rows, verdict], site.music)
    return Taken(
        verdict=review.shown(now.get(track.raw.track_id)),
        summary=review.summary(now, site.music),
        note=note,
    )


def _label_of(track: Track, said: Said) -> str:
    return track.label if said.verdict in (*LABELLED, WITHDRAWN) else ""


def _verdicts(site: Site) -> Verdicts:
    journal = Journal.of(site.reviewer)
    rows = journal.rows()
    return Verdicts(
        reviewer=site.reviewer,
        reviewers=review.reviewers(),
        file=journal.path.as_posix(),
        n_rows=len(rows),
        n_other_music=review.left_out(rows, site.music),
        summary=review.summary(review.present(rows, site.music), site.music),
    )


def _agreement(site: Site, other: str) -> Beside:
    others = [name for name in review.reviewers() if name != site.reviewer]
    if other not in others:
        there = ", ".join(others) if others else "nobody else"
        raise HTTPException(404, f"with: no other reviewer of that name has a journal; there is {there}")
    own, others_rows = Journal.of(site.reviewer).rows(), Journal.of(other).rows()
    found = compared(current(own), current(others_rows))
    differing = (one.track_id for one in found.differences)
    ids = {name: id_of(name) for name in differing if id_of(name) in site.music.tracks}
    return Beside(site.reviewer, other, found, ids)
