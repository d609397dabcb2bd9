"""The listening test's page: begin, hear A and B, answer, next."""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from neuroamp.errors import NeuroampError

from neuroamp_host.listening.session import ListeningTest
from neuroamp_host.local_page.guard import App, Guard, as_sentence

STATIC = resources.files("neuroamp_host.listening") / "static"
KINDS = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "test.js": "text/javascript; charset=utf-8",
}

Json = dict[str, Any]
Posted = Annotated[dict[str, Any], Body()]


def make_app(test: ListeningTest, token: str | None) -> App:
    """The application; `token` is what a browser must show, None for this computer's own."""
    app = FastAPI(openapi_url=None)

    @app.exception_handler(NeuroampError)
    async def mistake(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": as_sentence(str(error))}, status_code=409)

    @app.exception_handler(400)
    @app.exception_handler(422)
    async def unreadable(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse(
            {"error": "What was sent cannot be read; load the page again."}, status_code=400
        )

    @app.post("/api/begin")
    def begin(body: Posted) -> Json:
        key = test.begin(str(body.get("participant", "")))
        return {"session": key, **test.trial(key)}

    @app.post("/api/answer")
    def answer(body: Posted) -> Json:
        key, number = str(body.get("session", "")), body.get("number")
        if not isinstance(number, int):
            raise NeuroampError("an answer came without its pair's number; load the page again.")
        test.answer(key, number, str(body.get("answer", "")))
        return test.trial(key)

    @app.get("/sound/{key}")
    def sound(key: str) -> FileResponse:
        # The name that a browser would save it under says nothing either.
        return FileResponse(test.sound(key), media_type="audio/wav", filename="sound.wav")

    @app.get("/")
    def page() -> Response:
        return static("index.html")

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in KINDS:
            return JSONResponse({"error": "There is nothing here; open '/'."}, status_code=404)
        return Response((STATIC / name).read_bytes(), media_type=KINDS[name])

    return Guard(app, token)
