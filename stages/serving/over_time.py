"""What the API says of a file over time: the form of what `stages.serving.hearing.document` makes."""

from pydantic import BaseModel, Field


class Picture(BaseModel):
    """A waveform and a mel spectrum, in columns of equal length."""

    column_s: float = Field(description="Seconds in a column.")
    low: list[float] = Field(description="The lowest sample of each column, -1 to 1.")
    high: list[float] = Field(description="The highest one.")
    mel: str = Field(
        description="Base64 of n_mels * n_columns bytes, a band after the other, the lowest first; "
        "0 is mel_db[0], 255 is mel_db[1]."
    )
    n_mels: int
    n_columns: int
    mel_db: list[float] = Field(description="The decibels of 0 and of 255.")
    mel_hz: list[float] = Field(description="The middle of each band in hertz.")


class OverTime(BaseModel):
    """What the model says of each second of a file, and what there is to draw of it."""

    labels: list[str] = Field(description="The genres, in the order of probability.")
    probability: list[list[float]] = Field(description="For each second, by genre.")
    novelty: list[float] = Field(description="For each second.")
    picture: Picture


EXAMPLE = {
    "labels": ["jazz", "reggae"],
    "probability": [[0.31, 0.69], [0.82, 0.18]],
    "novelty": [0.41, 0.29],
    "picture": {
        "column_s": 0.9,
        "low": [-0.31, -0.42],
        "high": [0.3, 0.44],
        "mel": "/4AA/8BA",
        "n_mels": 3,
        "n_columns": 2,
        "mel_db": [-62.1, 17.9],
        "mel_hz": [220.5, 1410.2, 5980.7],
    },
}
