"""POST /predict: what the model says of a file that is sent."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from stages.asking.answers import exceeds
from stages.serving import hearing
from stages.serving.described import AUDIO_FILE, BUSY, STALE, UNUSABLE, answer, curl
from stages.serving.over_time import OverTime
from stages.serving.site import Site, site_of

router = APIRouter()


class Answer(BaseModel):
    """What the model says of a file."""

    name: str = Field(description="As the question called the file.")
    genre: str = Field(description="The most probable genre.")
    probability: float = Field(description="Of it, 0 to 1.")
    second: str = Field(description="The second most probable genre.")
    second_probability: float = Field(description="Of that.")
    novelty: float = Field(description="How unlike what the model has learnt from.")
    is_new: bool | None = Field(
        description="Whether the novelty is over the threshold; null: there is none, see /about."
    )
    seconds: float = Field(description="Of music.")
    probabilities: dict[str, float] = Field(
        description="Of all genres; they add up to 1.",
        examples=[{"blues": 0.23, "jazz": 0.48, "reggae": 0.29}],
    )
    note: str = Field("", description="What of the music could not be read; empty: nothing.")
    over_time: OverTime | None = Field(None, description="If it was asked for.")
    over_time_problem: str = Field("", description="Why there is nothing over time; empty: there is.")


EXAMPLE = {
    "name": "song.mp3",
    "genre": "jazz",
    "probability": 0.48,
    "second": "reggae",
    "second_probability": 0.29,
    "novelty": 0.35,
    "is_new": False,
    "seconds": 30.0,
    "probabilities": {"blues": 0.23, "jazz": 0.48, "reggae": 0.29},
    "note": "",
    "over_time": None,
    "over_time_problem": "",
}


@router.post(
    "/predict",
    tags=["Ask"],
    summary="The genre of a file",
    openapi_extra={**AUDIO_FILE, **curl("/predict?name=song.mp3", "--data-binary", "@song.mp3")},
    responses={**answer(EXAMPLE), **UNUSABLE, **BUSY, **STALE},
)
async def predict(
    request: Request,
    site: Annotated[Site, Depends(site_of)],
    name: Annotated[str, Query(max_length=300, description="What the answer calls the file.")] = "",
    over_time: Annotated[
        bool, Query(description="Whether to answer for each second, too, with a picture.")
    ] = False,
) -> Answer:
    """Predict the genre of a file of music, which is the body of the request.

    The file is decoded in a separate process, and is deleted before the answer is sent.
    """
    async with site.uploads.received(request) as path:
        found = await site.ask_model(hearing.predict, path, over_time)
    prediction = found["prediction"]
    ranked = sorted(prediction.probability.items(), key=lambda item: -item[1])
    (genre, probability), (second, second_probability) = ranked[:2]
    return Answer(
        name=name,
        genre=genre,
        probability=probability,
        second=second,
        second_probability=second_probability,
        novelty=prediction.novelty,
        is_new=exceeds(prediction.novelty, site.threshold),
        seconds=prediction.duration_s,
        probabilities=prediction.probability,
        note=prediction.note,
        over_time=found.get("over_time"),
        over_time_problem=found.get("over_time_problem", ""),
    )
