"""What openapi.json says beside the routes: what the API is, files that are sent, and errors."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
ABOUT = (
    "What a model says of music, and the music that it was tested on, as `encore serve` shows them on its "
    "page. The server answers on this machine only, and only to commands and to its own page. Answers are "
    """JSON, but for audio. An error is one line, what is wrong and what to do: `{"error": "…"}`."""
)
TAGS = [
    {"name": "Ask", "description": "About a file that is sent: it is heard, answered, and gone."},
    {"name": "Tracks", "description": "The dataset: what the model says of each track, and how it sounds."},
    {"name": "Verdicts", "description": "What people who have listened say of tracks."},
    {"name": "Server", "description": "What answers."},
]
SAMPLES = "x-codeSamples"  # what viewers of openapi.json know
ORIGIN, ID = "ORIGIN", "a591f104aa8d0351"
Responses = dict[int | str, dict[str, Any]]


class Problem(BaseModel):
    """An answer that is no success."""

    error: str = Field(description="One line: what is wrong, and what to do.")


def problem(description: str, example: str, **headers: str) -> dict[str, Any]:
    """Return what openapi.json says of a status that is no success.

    Parameters
    ----------
    description, example : str
        When it is answered, and such a line.
    headers : str
        What each header of it says; an underscore stands for a hyphen.
    """
    described = {
        name.replace("_", "-"): {"description": words, "schema": {"type": "integer"}}
        for name, words in headers.items()
    }
    content = {"application/json": {"example": {"error": example}}}
    return {"model": Problem, "description": description, "content": content} | (
        {"headers": described} if described else {}
    )


def answer(example: Any) -> Responses:
    """Return an example of the answer, for openapi.json and the page of the API."""
    return {200: {"content": {"application/json": {"example": example}}}}


def curl(path: str, *options: str) -> dict[str, Any]:
    """Return a line for curl that asks a route, with `ID` in place of that of a track; see `complete`."""
    line = " ".join(["curl", *options, f"'{ORIGIN}{path}'"])
    return {SAMPLES: [{"lang": "Shell", "label": "curl", "source": line}]}


AUDIO_FILE: dict[str, Any] = {
    "requestBody": {
        "description": "The content of a file of music, as on the disk, in any format that Encore reads.",
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
EVERYWHERE: Responses = {
    403: problem(
        "A page of another origin asks.", "a page of another origin asks; only this server's own page may"
    ),
    421: problem("Another host is asked for.", "this server answers for 127.0.0.1:8000 only"),
    422: problem("A value is not allowed.", "k: Input should be greater than or equal to 1"),
}
BUSY: Responses = {
    503: problem(
        "Too much is asked at once, or what is needed is not ready yet.",
        "too many questions are waiting; try again in a moment",
        Retry_After="Seconds to wait.",
    )
}
NOT_AS_STARTED = "Model, evaluation or list of tracks are not what the server was started with."
STALE: Responses = {
    409: problem(
        NOT_AS_STARTED,
        "data/model/model.json: not what this server was started with; end it, and start …",
    )
}
UNUSABLE: Responses = {
    400: problem(
        "There is no body.",
        "the body is empty; send the content of a file, as `curl --data-binary @song.mp3`",
    ),
    408: problem("The body comes too slowly.", "the body comes too slowly: 10 s without a byte, or …"),
    413: problem("The file is too large.", "over 200 MB, which is the most that is taken"),
    415: problem("The body is a form.", "the body is a form; send the content of a file, …"),
    422: problem("The file cannot be used, or a value is not allowed.", "it is in no format that is known"),
    507: problem("The disk is full.", "the server cannot keep it while it is heard: No space left on device"),
}
UNKNOWN: Responses = {
    404: problem(
        "There is no such track, or its file is gone.", "there is no such track; GET /tracks lists all"
    )
}


def described(port: int) -> FastAPI:
    """Return an application without routes that describes itself in openapi.json alone."""
    with PROJECT.open("rb") as file:
        project = tomllib.load(file)["project"]
    return FastAPI(
        title="Encore",
        version=project["version"],
        summary="Ask a model of music genres, and hear what it gets wrong.",
        description=ABOUT,
        license_info={"name": project["license"], "identifier": project["license"]},
        servers=[{"url": f"http://127.0.0.1:{port}", "description": "This machine."}],
        openapi_tags=TAGS,
        responses=EVERYWHERE,
        generate_unique_id_function=_operation,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )


def complete(app: FastAPI, origin: str, track: str) -> None:
    """Have lines for curl work as they are, when all routes are there.

    Parameters
    ----------
    app : FastAPI
    origin : str
        Where the server is, such as ``http://127.0.0.1:8000``.
    track : str
        The id of a track; empty: there is none.
    """
    for _, _, operation in operations(app.openapi()):  # which is kept
        for sample in operation.get(SAMPLES, []):
            sample["source"] = sample["source"].replace(ORIGIN, origin).replace(ID, track or ID)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield method, path and operation of each route in openapi.json."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _operation(route: APIRoute) -> str:
    return route.name
