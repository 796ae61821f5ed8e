"""GET /about: which model answers, about which music, and how much may be sent."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from stages.serving import hearing, uploads
from stages.serving.described import answer, curl
from stages.serving.site import Site, site_of

router = APIRouter()


class Model(BaseModel):
    """The model that answers."""

    name: str = Field(description="Its folder or run.")
    kind: str = Field(description="Its class.")
    origin: list[str] = Field(description="What it has learnt from, in lines.")
    labels: list[str] = Field(description="The genres that it knows.")
    threshold: float | None = Field(
        description="The novelty over which music is new to it; null: it was not evaluated."
    )


class Dataset(BaseModel):
    """The music of the project."""

    n_tracks: int = Field(description="All, also those without predictions.")
    reason: str = Field(description="Why there is nothing to listen to; empty: there is.")
    note: str = Field(description="What of the labels was other in the evaluation; empty: nothing.")


class Limits(BaseModel):
    """How much may be sent."""

    bytes: int = Field(description="Of a file.")
    seconds_of_music: float = Field(description="Of the music in a file.")
    least_seconds_of_music: float = Field(description="The least: the model hears segments of this length.")


class About(BaseModel):
    """What is asked."""

    model: Model
    dataset: Dataset
    reviewer: str = Field(description="Whose verdicts are taken.")
    limits: Limits
    key: str = Field(
        description="Of what was read at the start; a page of another one is to be loaded again."
    )
    stale: str = Field(description="Why the server has to be started again; empty: it has not.")


EXAMPLE = {
    "model": {
        "name": "/home/anna/encore/data/model",
        "kind": "CNN",
        "origin": ["trained on gtzan"],
        "labels": ["blues", "jazz", "reggae"],
        "threshold": 0.493864,
    },
    "dataset": {"n_tracks": 150, "reason": "", "note": ""},
    "reviewer": "me",
    "limits": {"bytes": 200_000_000, "seconds_of_music": 3600.0, "least_seconds_of_music": 3.0},
    "key": "5be1c97b8e4ba9b5",
    "stale": "",
}


@router.get(
    "/about",
    tags=["Server"],
    summary="Which model answers",
    openapi_extra=curl("/about"),
    responses=answer(EXAMPLE),
)
def about(site: Annotated[Site, Depends(site_of)]) -> About:
    """Say which model answers, what it has learnt from, and how much may be sent."""
    return About(
        model=Model(
            name=site.model.name,
            kind=site.about.model,
            origin=site.origin,
            labels=site.about.labels,
            threshold=site.threshold,
        ),
        dataset=Dataset(n_tracks=len(site.music.tracks), reason=site.music.reason, note=site.music.note),
        reviewer=site.reviewer,
        limits=Limits(
            bytes=uploads.MOST_BYTES,
            seconds_of_music=hearing.MOST_S,
            least_seconds_of_music=site.about.input.segment_length / site.about.input.sample_rate_hz,
        ),
        key=site.started_with.key,
        stale=site.stale,
    )
