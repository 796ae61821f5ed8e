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


class Limits(BaseModel):
    """The most that may be sent."""

    bytes: int = Field(description="Of a file.")
    seconds_of_music: float = Field(description="Of the music in a file.")


class About(BaseModel):
    """What is asked."""

    model: Model
    dataset: Dataset
    reviewer: str = Field(description="Whose verdicts are taken.")
    limits: Limits


EXAMPLE = {
    "model": {
        "name": "/home/anna/encore/data/model",
        "kind": "CNN",
        "origin": ["trained on gtzan"],
        "labels": ["blues", "jazz", "reggae"],
        "threshold": 0.493864,
    },
    "dataset": {"n_tracks": 150, "reason": ""},
    "reviewer": "me",
    "limits": {"bytes": 200_000_000, "seconds_of_music": 3600.0},
}


@router.get(
    "/about",
    tags=["Server"],
    summary="Which model answers",
    openapi_extra=curl("/about"),
    responses=answer(EXAMPLE),
)
async def about(site: Annotated[Site, Depends(site_of)]) -> About:
    """Say which model answers, what it has learnt from, and how much may be sent."""
    return About(
        model=Model(
            name=site.model.name,
            kind=site.about.model,
            origin=site.model.origin,
            labels=site.about.labels,
            threshold=site.model.threshold,
        ),
        dataset=Dataset(n_tracks=len(site.music.tracks), reason=site.music.reason),
        reviewer=site.reviewer,
        limits=Limits(bytes=uploads.MOST_BYTES, seconds_of_music=hearing.MOST_S),
    )
