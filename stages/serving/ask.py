"""POST /predict: what the model says of a file that is sent."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from stages.asking.answers import exceeds
from stages.serving import hearing
from stages.serving.site import Site, site_of

router = APIRouter()
AUDIO_FILE: dict[str, Any] = {
    "requestBody": {
        "description": "The content of a file of music, as on the disk, in any format that Encore reads.",
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class Answer(BaseModel):
    """What the model says of a file."""

    name: str
    genre: str
    probability: float
    second: str
    second_probability: float
    novelty: float
    is_new: bool | None
    seconds: float
    probabilities: dict[str, float]
    note: str = ""
    over_time: dict[str, Any] | None = None
    over_time_problem: str = ""


@router.post("/predict", openapi_extra=AUDIO_FILE)
async def predict(
    request: Request,
    site: Annotated[Site, Depends(site_of)],
    name: Annotated[str, Query(max_length=300, description="What the answer calls the file.")] = "",
    over_time: Annotated[bool, Query(description="Each second, too, and what to draw.")] = False,
) -> Answer:
    """Predict the genre of a file of music, which is the body of the request.

    The file is decoded in a process of its own, and is gone when the answer is there.
    """
    async with site.uploads.received(request) as path:
        found = await site.ask(hearing.predict, path, site.model.folder, site.model.encoder, over_time)
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
        is_new=exceeds(prediction.novelty, site.model.threshold),
        seconds=prediction.duration_s,
        probabilities=prediction.probability,
        note=prediction.note,
        over_time=found.get("over_time"),
        over_time_problem=found.get("over_time_problem", ""),
    )
