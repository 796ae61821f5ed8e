"""GET /tracks: the tracks of the dataset, what the model says of them, and how they sound."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi import Path as InAddress
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from stages.core.errors import EncoreError
from stages.correcting.journal import Journal
from stages.correcting.verdict import Verdict
from stages.serving import hearing, review
from stages.serving.described import BUSY, ID, STALE, UNKNOWN, answer, curl, problem
from stages.serving.music import Track, file_of
from stages.serving.over_time import EXAMPLE as SECONDS
from stages.serving.over_time import OverTime
from stages.serving.playing import media_type, write_wav
from stages.serving.site import Site, site_of

router = APIRouter()


class Played(FileResponse):
    """A file, or one range of it: who asks for several gets the whole."""

    max_ranges = 1


Order = Literal["confidently_wrong", "novelty", "track_id"]
Split = Literal["", "train", "valid", "test", "unknown", "unlabelled", "excluded"]
Kind = Literal["", "judged", "unjudged", "label_wrong", "ambiguous", "label_right", "broken_audio"]
AUDIO: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/*": {}}, "description": "The whole."},
    206: {"content": {"audio/*": {}}, "description": "The range that was asked for."},
    416: {"description": "There is no such range; Content-Range has the size."},
    507: problem("The disk is full.", "the WAV cannot be kept: No space left on device"),
}


class Listed(BaseModel):
    """A track. What the evaluation says is null for what is no test track; `verdict` is the reviewer's."""

    id: str = Field(description="What addresses call it.")
    track_id: str = Field(description="What the dataset's tables call it.")
    name: str = Field(description="Its path in the dataset.")
    split: str = Field(description="train, valid or test; empty: it was dropped.")
    label: str = Field(description="Its genre as the dataset says; empty: unlabelled.")
    predicted: str | None = Field(description="The model's most probable genre.")
    probability: float | None = Field(description="Of the predicted genre.")
    baseline: str | None = Field(description="What the linear baseline predicts.")
    is_wrong: bool | None = Field(description="Whether the prediction differs from the label.")
    novelty: float | None = Field(description="How unlike what the model has learnt from.")
    probabilities: dict[str, float] | None = Field(description="Of all genres.")
    verdict: review.Given | None = Field(description="The reviewer's; null: there is none.")
    audio: str = Field(description="Where to hear it.")


class Wanted(BaseModel):
    """Which tracks, and in which order; a misspelt parameter is refused."""

    model_config = ConfigDict(extra="forbid")

    split: Split = Field("", description="Only of this split; test has predictions.")
    label: str = Field("", description="Only with this label.")
    predicted: str = Field("", description="Only with this prediction.")
    text: str = Field("", description="Only with this in name, label or prediction.")
    verdict: Kind = Field("", description="Only with such a verdict of this server's reviewer.")
    order: Order = Field("confidently_wrong", description="Test tracks come first.")
    limit: int = Field(1_000_000, ge=1, description="The most tracks to list.")
    offset: int = Field(0, ge=0, description="How many tracks to leave out before them.")


class Tracks(BaseModel):
    """Tracks that were asked for."""

    total: int = Field(description="How many there are, without limit and offset.")
    tracks: list[Listed]
    problem: str = Field(description="Why no verdicts are shown; empty: they are.")


EXAMPLE = {
    "id": ID,
    "track_id": "disco.00007",
    "name": "disco/disco.00007.wav",
    "split": "test",
    "label": "disco",
    "predicted": "pop",
    "probability": 0.704589,
    "baseline": "pop",
    "is_wrong": True,
    "novelty": 0.255146,
    "probabilities": {"blues": 0.062169, "disco": 0.233242, "pop": 0.704589},
    "verdict": {"verdict": "label_wrong", "label": "pop", "time": "2026-11-29T06:24:31Z"},
    "audio": f"/tracks/{ID}/audio",
}


def track_of(
    id: Annotated[str, InAddress(description="The id of a track, as /tracks lists it.")],  # noqa: A002  # as in the address
    site: Annotated[Site, Depends(site_of)],
) -> Track:
    """Return the track that an address names.

    Raises
    ------
    HTTPException
        404 if there is none.
    """
    if id not in site.music.tracks:
        raise HTTPException(404, "there is no such track; GET /tracks lists all")
    return site.music.tracks[id]


@router.get(
    "/tracks",
    tags=["Tracks"],
    summary="The tracks of the dataset",
    openapi_extra=curl("/tracks?split=test&limit=1"),
    responses=answer({"total": 17, "tracks": [EXAMPLE], "problem": ""}),
)
async def tracks(site: Annotated[Site, Depends(site_of)], wanted: Annotated[Wanted, Query()]) -> Tracks:
    """List the dataset's tracks, by default the most confidently wrong ones of test first."""
    tested = site.music.judged()
    if wanted.order == "novelty":
        tested = sorted(tested, key=lambda track: -(track.evaluated.novelty if track.evaluated else 0))
    found = [*tested, *(track for track in site.music.tracks.values() if not track.evaluated)]
    if wanted.order == "track_id":
        found = [*site.music.tracks.values()]
    try:
        given, problem = await run_in_threadpool(_verdicts, site), ""
    except EncoreError as error:
        given, problem = {}, str(error)
    chosen = [
        track
        for track in found
        if (not wanted.split or track.split == wanted.split)
        and (not wanted.label or track.label == wanted.label)
        and (not wanted.predicted or _predicted(track) == wanted.predicted)
        and wanted.text.casefold() in f"{track.raw.path}\n{track.label}\n{_predicted(track)}".casefold()
        and _has(given.get(track.raw.track_id), wanted.verdict)
    ]
    page = chosen[wanted.offset : wanted.offset + wanted.limit]
    shown = [listed(track, given.get(track.raw.track_id)) for track in page]
    return Tracks(total=len(chosen), tracks=shown, problem=problem)


@router.get(
    "/tracks/{id}",
    tags=["Tracks"],
    summary="A track",
    openapi_extra=curl(f"/tracks/{ID}"),
    responses={**answer(EXAMPLE), **UNKNOWN},
)
async def one(site: Annotated[Site, Depends(site_of)], track: Annotated[Track, Depends(track_of)]) -> Listed:
    """Say what is known of a track, as the list does."""
    given = await run_in_threadpool(_verdicts, site)
    return listed(track, given.get(track.raw.track_id))


@router.get(
    "/tracks/{id}/audio",
    tags=["Tracks"],
    summary="How a track sounds",
    response_class=Response,
    openapi_extra=curl(f"/tracks/{ID}/audio", "--output", "track.wav"),
    responses={**AUDIO, **UNKNOWN, **BUSY},
)
async def audio(
    site: Annotated[Site, Depends(site_of)], track: Annotated[Track, Depends(track_of)]
) -> Response:
    """Return a track, or a range of it: the file itself, or a WAV where some browsers cannot play that.

    A header such as `Range: bytes=0-65535` asks for a part, as players do.
    """
    path = _file(track)
    kind = media_type(path)
    if kind is None:
        about = site.about

        async def make(to: Path) -> None:
            await site.ask(write_wav, path, to, about.input.sample_rate_hz, about.rendering)

        try:
            path, kind = await site.decoded.wav(track.id, make), "audio/wav"
        except OSError as error:
            raise HTTPException(507, f"the WAV cannot be kept: {error.strerror or error}") from None
    return Played(path, media_type=kind)


@router.get(
    "/tracks/{id}/over-time",
    tags=["Tracks"],
    summary="What the model says of a track over time",
    response_model=OverTime,
    openapi_extra=curl(f"/tracks/{ID}/over-time"),
    responses={**answer(SECONDS), **UNKNOWN, **BUSY, **STALE},
)
async def over_time(
    site: Annotated[Site, Depends(site_of)], track: Annotated[Track, Depends(track_of)]
) -> dict[str, Any]:
    """Say what the model predicts for each second of a track, and what there is to draw of it."""
    found = await site.ask_model(hearing.predict, _file(track), True)
    if "over_time" not in found:
        raise HTTPException(422, found["over_time_problem"])
    document: dict[str, Any] = found["over_time"]
    return document


def listed(track: Track, verdict: Verdict | None) -> Listed:
    """Return what the API says of a track, and of the verdict on it."""
    found = track.evaluated
    return Listed(
        id=track.id,
        track_id=track.raw.track_id,
        name=track.raw.path,
        split=track.split,
        label=track.label,
        predicted=found.predicted if found else None,
        probability=track.confidence if found else None,
        baseline=found.baseline if found else None,
        is_wrong=track.is_wrong,
        novelty=found.novelty if found else None,
        probabilities=dict(found.probability) if found else None,
        verdict=review.shown(verdict),
        audio=f"/tracks/{track.id}/audio",
    )


def _verdicts(site: Site) -> Mapping[str, Verdict]:
    return review.present(Journal.of(site.reviewer).rows(), site.music)


def _predicted(track: Track) -> str:
    return track.evaluated.predicted if track.evaluated else ""


def _has(given: Verdict | None, wanted: Kind) -> bool:
    if wanted in ("judged", "unjudged"):
        return (given is not None) == (wanted == "judged")
    return not wanted or (given is not None and given.verdict == wanted)


def _file(track: Track) -> Path:
    try:
        return file_of(track)
    except EncoreError as error:
        raise HTTPException(404, str(error)) from None
