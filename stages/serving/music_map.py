"""GET /map: all music of the project as points, where what the model hears alike lies together."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from stages.core.errors import some
from stages.inference.library import Library, Point
from stages.serving.described import ID, answer, curl
from stages.serving.library import Status
from stages.serving.music import Music, id_of
from stages.serving.site import Site, site_of

router = APIRouter()


class Points(BaseModel):
    """The points, in the order of the tracks' names; each list has a value for each of them."""

    id: list[str]
    name: list[str]
    x: list[float]
    y: list[float]
    label: list[str]
    predicted: list[str]
    split: list[str]
    is_wrong: list[bool]


class MusicMap(BaseModel):
    """The map, or why it is not there; without a label a track is unlabelled, x and y are from -1 to 1."""

    state: Literal["ready", "running", "failed", "none"]
    line: str
    n_tracks: int
    n_shown: int
    points: Points


EXAMPLE = {
    "state": "ready",
    "line": "",
    "n_tracks": 1,
    "n_shown": 1,
    "points": {
        "id": [ID],
        "name": ["disco/disco.00007.wav"],
        "x": [0.271],
        "y": [-0.843],
        "label": ["disco"],
        "predicted": ["pop"],
        "split": ["test"],
        "is_wrong": [True],
    },
}


@router.get(
    "/map",
    tags=["Tracks"],
    summary="All music as points",
    openapi_extra=curl("/map"),
    responses={200: {"model": MusicMap, **answer(EXAMPLE)[200]}},
)
def music_map(site: Annotated[Site, Depends(site_of)]) -> Response:
    """Return where each track lies on the map.

    The vectors that the model's last layer takes are arranged in the plane by PCA and t-SNE. A track is wrong
    if the model knows its label and predicts another one. While the music is heard for the first time there
    are no points yet; `line` says how far it is.
    """
    status = site.library.status
    if status.state == "ready":
        content = _content(site.library.library, tuple(site.about.labels), site.music)
    else:
        content = _document(status, 0, [], [], site.music).model_dump_json()
    return Response(content, media_type="application/json")


@lru_cache(maxsize=1)
def _content(library: Library, labels: Sequence[str], music: Music) -> str:
    """Return the map as JSON; ten thousand points take a while."""
    points = library.points()
    n_tracks, lost = library.counted()
    status = Status("ready", " ".join(_notes(n_tracks, len(points), lost)))
    return _document(status, n_tracks, points, labels, music).model_dump_json()


def _notes(n_tracks: int, n_shown: int, lost: Sequence[str]) -> list[str]:
    """Return what is not on the map, in sentences."""
    notes = []
    if n_shown < n_tracks:
        notes.append(f"{n_shown:,} of {n_tracks:,} tracks are shown, chosen by chance.")
    if lost:
        subject = "1 track" if len(lost) == 1 else f"{len(lost):,} tracks"
        notes.append(f"{subject} could not be heard: {some(lost)}.")
    return notes


def _document(
    status: Status, n_tracks: int, points: Sequence[Point], labels: Sequence[str], music: Music
) -> MusicMap:
    known = set(labels)
    ids = [id_of(point.track_id) for point in points]
    columns: dict[str, list[Any]] = {
        "id": ids,
        "name": [point.path for point in points],
        "x": [point.x for point in points],
        "y": [point.y for point in points],
        "label": [point.label for point in points],
        "predicted": [point.predicted for point in points],
        "split": [music.tracks[id_].split if id_ in music.tracks else "" for id_ in ids],
        "is_wrong": [point.label in known and point.predicted != point.label for point in points],
    }
    return MusicMap(
        state=status.state,
        line=status.line,
        n_tracks=n_tracks,
        n_shown=len(points),
        points=Points(**columns),
    )
