"""POST /similar: the tracks of the dataset that are most like a file that is sent."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, Field

from stages.serving import hearing
from stages.serving.described import AUDIO_FILE, BUSY, ID, UNUSABLE, answer, curl, problem
from stages.serving.site import Site, site_of
from stages.serving.uploads import busy

router = APIRouter()
MOST_TRACKS = 1000
PREPARED_S = 5  # when to ask again while the dataset is heard


class Like(BaseModel):
    """A track that is like the file."""

    id: str = Field(description="What addresses call it.")
    name: str = Field(description="Its path in the dataset.")
    genre: str = Field(description="Its label, else what the model predicts.")
    is_predicted: bool = Field(description="Whether the genre is predicted: the track has no label.")
    artist: str = Field(description="Or album, or work; empty: unknown.")
    similarity: float = Field(description="Cosine, -1 to 1.")
    same_recording: bool = Field(description="Whether it is music of the file itself.")
    audio: str = Field(description="Where to hear it.")


class LikeThis(BaseModel):
    """The tracks that are most like a file, the most similar first."""

    name: str = Field(description="As the question called the file.")
    tracks: list[Like]
    n_tracks: int = Field(description="How many tracks were compared.")
    left_out: int = Field(description="How many were found and left out, as the dataset has lost them.")


EXAMPLE = {
    "name": "",
    "tracks": [
        {
            "id": ID,
            "name": "jazz/jazz.00003.wav",
            "genre": "jazz",
            "is_predicted": False,
            "artist": "Cafe Meridian",
            "similarity": 0.924973,
            "same_recording": False,
            "audio": f"/tracks/{ID}/audio",
        }
    ],
    "n_tracks": 150,
    "left_out": 0,
}


@router.post(
    "/similar",
    tags=["Ask"],
    summary="The tracks most like a file",
    openapi_extra={**AUDIO_FILE, **curl("/similar?k=3", "--data-binary", "@song.mp3")},
    responses={
        **answer(EXAMPLE),
        **UNUSABLE,
        **BUSY,
        404: problem("The project has no music.", "There is no music: …"),
    },
)
async def similar(
    request: Request,
    site: Annotated[Site, Depends(site_of)],
    k: Annotated[int, Query(ge=1, le=MOST_TRACKS, description="How many tracks.")] = 10,
    name: Annotated[str, Query(max_length=300, description="What the answer calls the file.")] = "",
    same_genre: Annotated[
        bool, Query(description="Only tracks of the genre of the file, as the dataset or the model says.")
    ] = False,
    other_artists: Annotated[
        bool, Query(description="No track of the artist of the file, which has to be one of the dataset.")
    ] = False,
) -> LikeThis:
    """List the tracks of the dataset that are most like a file of music, which is the body of the request.

    They are compared by what the model's last layer takes, as `encore similar` does. Nothing of the file is
    kept. After a start with new music or a new model the dataset is heard first, which takes a while: until
    then the answer is 503, and `error` says how far it is.
    """
    async with site.uploads.received(request) as path:
        model, index = site.model, _index(site)
        found, n_tracks = await site.ask(
            hearing.most_like, path, model.folder, model.encoder, index, k, same_genre, other_artists
        )
    known = [
        (one, site.music.by_path[one.track.path]) for one in found if one.track.path in site.music.by_path
    ]
    tracks = [
        Like(
            id=track.id,
            name=track.raw.path,
            genre=one.track.genre,
            is_predicted=not one.track.label,
            artist=one.track.artist,
            similarity=round(one.cosine, 6),
            same_recording=one.same_recording,
            audio=f"/tracks/{track.id}/audio",
        )
        for one, track in known
    ]
    return LikeThis(name=name, tracks=tracks, n_tracks=n_tracks, left_out=len(found) - len(tracks))


def _index(site: Site) -> Path:
    """Return the folder of the dataset's index.

    Raises
    ------
    HTTPException
        503 if it is being made, 404 if there is no music, 500 if it could not be made.
    """
    status = site.library.status
    if status.state == "running":
        raise busy(status.line, PREPARED_S)
    if status.state == "none":
        raise HTTPException(404, status.line)
    if status.state == "failed":
        raise HTTPException(500, status.line)
    return site.library.library.index
