"""The routes of the server, put together."""

import logging
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from stages.core.errors import EncoreError
from stages.serving import ask, hearing, judge, music_map, tracks, uploads
from stages.serving.guard import Guard
from stages.serving.site import Site, site_of

PAGE = Path(__file__).with_name("page")
TITLE, VERSION = "Encore", "1"


def build(site: Site, port: int) -> Guard:
    """Return the server's application.

    Parameters
    ----------
    site : Site
    port : int
        Where it will be reached.
    """
    app = FastAPI(
        title=TITLE,
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        description=ask.__doc__ or "",
    )
    app.state.site = site
    for routes in (ask, tracks, judge, music_map):
        app.include_router(routes.router)
    _add_pages(app)
    _add_errors(app)
    largest: Mapping[str, int] = {"/predict": uploads.MOST_BYTES, "/similar": uploads.MOST_BYTES}
    return Guard(app, port, largest)


def _add_pages(app: FastAPI) -> None:
    files = {path.name: path.read_bytes() for path in sorted(PAGE.iterdir())}

    def file(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, f"there is no {name}")
        kind, _ = mimetypes.guess_type(name)
        return Response(files[name], media_type=kind)

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return file("index.html")

    @app.get("/api", include_in_schema=False)
    async def api() -> Response:
        return file("api.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def page(name: str) -> Response:
        return file(name)

    @app.get("/about")
    async def about(site: Annotated[Site, Depends(site_of)]) -> dict[str, Any]:
        """Say which model answers, what it has learnt from, and how much may be sent."""
        return {
            "model": {
                "name": site.model.name,
                "kind": site.about.model,
                "origin": site.model.origin,
                "labels": site.about.labels,
                "threshold": site.model.threshold,
            },
            "dataset": {"n_tracks": len(site.music.tracks), "reason": site.music.reason},
            "reviewer": site.reviewer,
            "limits": {"bytes": uploads.MOST_BYTES, "seconds_of_music": hearing.MOST_S},
        }


def _add_errors(app: FastAPI) -> None:
    """Have all errors answered in one line of JSON."""

    @app.exception_handler(400)  # JSON that cannot be parsed
    @app.exception_handler(404)  # the router's own, which is no HTTPException of FastAPI's
    @app.exception_handler(405)
    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(EncoreError)
    async def unusable(_: Request, error: EncoreError) -> Response:
        return JSONResponse({"error": str(error)}, 422)

    @app.exception_handler(RequestValidationError)
    async def wrong(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"][1:]))
        return JSONResponse({"error": f"{place}: {first['msg']}"}, 422)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        logging.getLogger("uvicorn.error").error("%s", error)
        return JSONResponse({"error": "the server has failed; its terminal says why"}, 500)
