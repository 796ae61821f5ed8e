"""The routes of the server, put together."""

import logging
import mimetypes
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from stages.core.errors import EncoreError
from stages.serving import about, api_page, ask, judge, music_map, similar_tracks, tracks, uploads
from stages.serving.described import complete, described
from stages.serving.guard import Guard
from stages.serving.site import Site

PAGE = Path(__file__).with_name("page")


def build(site: Site, port: int) -> Guard:
    """Return the server's application.

    Parameters
    ----------
    site : Site
    port : int
        Where it will be reached.
    """
    app = described(port)
    app.state.site = site
    for routes in (ask, similar_tracks, tracks, judge, music_map, about):
        app.include_router(routes.router)
    _add_errors(app)
    origin = f"http://127.0.0.1:{port}"
    complete(
        app, origin, next((track.id for track in site.music.judged()), next(iter(site.music.tracks), ""))
    )
    _add_pages(app, api_page.page(app, origin))
    largest: Mapping[str, int] = {"/predict": uploads.MOST_BYTES, "/similar": uploads.MOST_BYTES}
    return Guard(app, port, largest)


def _add_pages(app: FastAPI, of_api: str) -> None:
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
        return Response(of_api, media_type="text/html")

    @app.get("/page/{name}", include_in_schema=False)
    async def page(name: str) -> Response:
        return file(name)


def _add_errors(app: FastAPI) -> None:
    """Have all errors answered in one line of JSON."""

    @app.exception_handler(400)  # JSON that cannot be parsed
    @app.exception_handler(404)  # the router's own, which is no HTTPException of FastAPI's
    @app.exception_handler(405)
    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        is_person = "text/html" in request.headers.get("accept", "")
        if error.status_code == 404 and is_person:
            return Response((PAGE / "missing.html").read_bytes(), 404, error.headers, "text/html")
        return JSONResponse({"error": _said(error)}, error.status_code, error.headers)

    @app.exception_handler(EncoreError)
    async def unusable(_: Request, error: EncoreError) -> Response:
        return JSONResponse({"error": str(error)}, 422)

    @app.exception_handler(RequestValidationError)
    async def wrong(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return JSONResponse({"error": f"the body is not JSON: {first['ctx']['error']}"}, 422)
        place = ".".join(map(str, first["loc"][1:]))
        return JSONResponse({"error": f"{place}: {first['msg']}"}, 422)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        logging.getLogger("uvicorn.error").error("%s", error)
        return JSONResponse({"error": "the server has failed; its terminal says why"}, 500)


def _said(error: HTTPException) -> str:
    """Return what is wrong; of the router's own errors the detail is only the name of the status."""
    if error.detail == HTTPStatus.NOT_FOUND.phrase:
        return "there is no such address; /api and /openapi.json list all"
    if error.detail == HTTPStatus.METHOD_NOT_ALLOWED.phrase:
        return f"another method is needed here: {(error.headers or {}).get('Allow', 'see /api')}"
    return error.detail
