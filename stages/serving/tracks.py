"""GET /tracks: the tracks of the dataset, what the model says of them, and how they sound."""

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel

from stages.core.errors import EncoreError
from stages.serving import hearing
from stages.serving.music import Track, file_of
from stages.serving.playing import media_type, write_wav
from stages.serving.site import Site, site_of

router = APIRouter()


class Played(FileResponse):
    """A file, or one range of it: who asks for several gets the whole."""

    max_ranges = 1


Order = Literal["confidently_wrong", "novelty", "track_id"]
AUDIO: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/*": {}}, "description": "The whole."},
    206: {"description": "A range."},
}


class Listed(BaseModel):
    """A track. What the evaluation says is null for what is no test track."""

    id: str
    track_id: str
    name: str
    split: str
    label: str
    predicted: str | None
    probability: float | None
    baseline: str | None
    is_wrong: bool | None
    novelty: float | None
    probabilities: dict[str, float] | None
    audio: str


class Tracks(BaseModel):
    """Tracks that were asked for, and how many there are without `limit` and `offset`."""

    total: int
    tracks: list[Listed]


def track_of(id: str, site: Annotated[Site, Depends(site_of)]) -> Track:  # noqa: A002  # as the address has it
    """Return the track that an address names.

    Raises
    ------
    HTTPException
        404 if there is none.
    """
    if id not in site.music.tracks:
        raise HTTPException(404, "there is no such track; GET /tracks lists all")
    return site.music.tracks[id]


@router.get("/tracks")
async def tracks(
    site: Annotated[Site, Depends(site_of)],
    split: Annotated[str, Query(description="Only of this split; test has predictions.")] = "",
    label: Annotated[str, Query(description="Only with this label.")] = "",
    predicted: Annotated[str, Query(description="Only with this prediction.")] = "",
    text: Annotated[str, Query(description="Only with this in name, label or prediction.")] = "",
    order: Annotated[Order, Query(description="Test tracks come first.")] = "confidently_wrong",
    limit: Annotated[int, Query(ge=1)] = 1_000_000,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> Tracks:
    """List the dataset's tracks, by default the most confidently wrong ones of test first."""
    tested = site.music.judged()
    if order == "novelty":
        tested = sorted(tested, key=lambda track: -(track.evaluated.novelty if track.evaluated else 0))
    found = [*tested, *(track for track in site.music.tracks.values() if not track.evaluated)]
    if order == "track_id":
        found = [*site.music.tracks.values()]
    chosen = [
        track
        for track in map(listed, found)
        if (not split or track.split == split)
        and (not label or track.label == label)
        and (not predicted or track.predicted == predicted)
        and text.casefold() in f"{track.name}\n{track.label}\n{track.predicted}".casefold()
    ]
    return Tracks(total=len(chosen), tracks=chosen[offset : offset + limit])


@router.get("/tracks/{id}/audio", response_class=Response, responses=AUDIO)
async def audio(
    site: Annotated[Site, Depends(site_of)], track: Annotated[Track, Depends(track_of)]
) -> Response:
    """Return a track, or a range of it: the file itself, or a WAV where some browsers cannot play that."""
    path = _file(track)
    kind = media_type(path)
    if kind is None:
        about = site.about

        async def make(to: Path) -> None:
            await site.ask(write_wav, path, to, about.input.sample_rate_hz, about.rendering)

        return Played(await site.decoded.wav(track.id, make), media_type="audio/wav")
    return Played(path, media_type=kind)


@router.get("/tracks/{id}/over-time")
async def over_time(
    site: Annotated[Site, Depends(site_of)], track: Annotated[Track, Depends(track_of)]
) -> dict[str, Any]:
    """Say what the model predicts for each second of a track, and what there is to draw of it."""
    found = await site.ask(hearing.predict, _file(track), site.model.folder, site.model.encoder, True)
    if "over_time" not in found:
        raise HTTPException(422, found["over_time_problem"])
    document: dict[str, Any] = found["over_time"]
    return document


def listed(track: Track) -> Listed:
    """Return what the API says of a track."""
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
        audio=f"/tracks/{track.id}/audio",
    )


def _file(track: Track) -> Path:
    try:
        return file_of(track)
    except EncoreError as error:
        raise HTTPException(404, str(error)) from None
