"""The fitting page's server: answers to the browser, each checked here and run on the session."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable
from importlib import resources
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from neuroamp.audiogram import STANDARD_FREQUENCIES_HZ
from neuroamp.errors import NeuroampError
from neuroamp.link.codes import VOLUME_RANGE_DB

from neuroamp_host.fitting.client import DeviceClient
from neuroamp_host.fitting.page import desk
from neuroamp_host.fitting.page.actions import commit_plans, revert, try_plans
from neuroamp_host.fitting.page.report import report_html
from neuroamp_host.fitting.page.session import DeviceSession
from neuroamp_host.fitting.page.shown import (
    key_of,
    levels_as_json,
    state_as_json,
    times_as_json,
)
from neuroamp_host.fitting.ports import list_ports
from neuroamp_host.local_page.guard import Guard, as_sentence

STATIC = resources.files("neuroamp_host.fitting.page") / "static"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEARTBEAT_S = 5.0
REPORTS_KEPT = 8
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"

Json = dict[str, Any]
Posted = Annotated[dict[str, Any], Body()]
"""The JSON object that a browser sent."""


def make_app(session: DeviceSession, token: str | None = None) -> Guard:
    """The page's application.

    Args:
        session: the line to the device.
        token: what a browser has to show; None where only this computer reaches the server.
    """
    app = FastAPI(title="NeuroAMP fitting", docs_url=None, redoc_url=None, openapi_url=None)
    reports: collections.OrderedDict[str, str] = collections.OrderedDict()

    @app.exception_handler(NeuroampError)
    async def refused(_: Request, error: NeuroampError) -> JSONResponse:
        return JSONResponse({"error": as_sentence(str(error))}, status_code=400)

    @app.exception_handler(RequestValidationError)
    async def not_an_object(_: Request, __: RequestValidationError) -> JSONResponse:
        return JSONResponse(
            {"error": "What was sent is no JSON object; load the page again."}, status_code=400
        )

    @app.exception_handler(404)
    @app.exception_handler(405)
    async def no_such_place(request: Request, _: Exception) -> JSONResponse:
        return JSONResponse(
            {"error": f"There is nothing at {request.url.path[:80]!r}; open the page at '/'."},
            status_code=404,
        )

    @app.exception_handler(400)
    async def unreadable(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse(
            {"error": "What was sent cannot be read as JSON; load the page again."}, status_code=400
        )

    @app.get("/api/limits")
    def limits() -> Json:
        return {**desk.limits(), "standard_hz": list(STANDARD_FREQUENCIES_HZ)}

    @app.get("/api/state")
    def state() -> Json:
        return state_as_json(session.state)

    @app.get("/api/events")
    def events() -> StreamingResponse:
        return StreamingResponse(event_stream(session), media_type="text/event-stream")

    @app.get("/api/ports")
    def ports() -> Json:
        found = [
            {"name": port.name, "words": f"{port.name} {port.description}".strip()}
            for port in list_ports()
        ]
        return {"ports": found, "current": session.state.port or None}

    @app.post("/api/connect")
    def connect(body: Posted) -> Json:
        session.choose(desk.text(body.get("port"), "the port"))
        return {"message": "Connected."}

    @app.post("/api/targets")
    def targets(body: Posted) -> Json:
        answers: Json = {}
        for key, wanted in desk.mapping(body.get("ears"), "ears").items():
            try:
                ear, plan = next(iter(desk.plans_for({key: wanted}).items()))
                answers[ear.value] = desk.targets_of(plan.fitting)
            except NeuroampError as error:
                answers[str(key)] = {"error": as_sentence(str(error))}
        return answers

    @app.post("/api/try")
    def try_fitting(body: Posted) -> Json:
        plans = desk.plans_for(body.get("ears"))
        seconds = desk.number(
            body.get("seconds"), "the length of the trial in seconds", desk.TRIAL_RANGE_S
        )
        return on_device(body, lambda client: try_plans(client, plans, seconds))

    @app.post("/api/commit")
    def commit(body: Posted) -> Json:
        plans = desk.plans_for(body.get("ears"))
        return on_device(body, lambda client: commit_plans(client, plans))

    @app.post("/api/revert")
    def back(body: Posted) -> Json:
        return on_device(body, revert)

    @app.post("/api/mute")
    def mute(body: Posted) -> Json:
        on = desk.flag(body.get("on"), "mute")
        run(lambda client: client.mute(on))
        return {"message": "Muted." if on else "The mute is over."}

    @app.post("/api/panic")
    def panic() -> Json:
        try:
            run(lambda client: client.panic(), urgent=True)
        except NeuroampError as error:
            raise NeuroampError(
                f"the device was not silenced: {error} Take it out of the ear or switch it off."
            ) from None
        return {"message": "Silenced; every trial was ended. Unmute to go on."}

    @app.post("/api/volume")
    def volume(body: Posted) -> Json:
        volume_db = desk.number(body.get("db"), "the volume in dB", VOLUME_RANGE_DB)
        run(lambda client: client.volume(volume_db, client.greeting.ears))
        return {"message": f"Volume {volume_db:+g} dB, until the device starts again."}

    @app.post("/api/audiogram-file")
    def audiogram_file(body: Posted) -> Json:
        return {"listeners": desk.listeners_in(body.get("name"), body.get("text"))}

    @app.post("/api/save-audiogram")
    def save_audiogram(body: Posted) -> Json:
        return {"text": desk.audiogram_file(body.get("name", ""), body.get("ears"))}

    @app.post("/api/report")
    def make_report(body: Posted) -> Json:
        plans = desk.plans_for(body.get("ears"))
        client, fitter, note = (
            desk.text(body.get(what, ""), f"the report's {what}")
            for what in ("client", "fitter", "note")
        )
        name = secrets.token_urlsafe(9)
        reports[name] = report_html(plans, session.state, client, fitter, note)
        while len(reports) > REPORTS_KEPT:
            reports.popitem(last=False)
        return {"url": f"/report/{name}"}

    @app.get("/report/{name}")
    def report(name: str) -> Response:
        if name not in reports:
            raise NeuroampError("that report is gone; make it again.")
        return HTMLResponse(reports[name], headers={"content-security-policy": REPORT_POLICY})

    @app.get("/")
    @app.get("/{name}")
    def static(name: str = "index.html") -> Response:
        kind = KINDS.get("." + name.rpartition(".")[2])
        if kind is not None and "/" not in name and "\\" not in name:
            with contextlib.suppress(OSError):
                return Response((STATIC / name).read_bytes(), media_type=kind)
        raise NeuroampError(f"the page has no file {name[:80]!r}; open the page at '/'.")

    def run(act: Callable[[DeviceClient], Any], urgent: bool = False) -> Any:
        """Runs `act` on the line, then reads what is shown anew."""

        def whole(client: DeviceClient) -> Any:
            result = act(client)
            session.refresh(client)
            return result

        return session.call(whole, urgent)

    def on_device(body: Json, act: Callable[[DeviceClient], str]) -> Json:
        """Runs a command on the device that the page shows, and on no other."""
        meant = body.get("device")

        def checked(client: DeviceClient) -> str:
            there = key_of(client.identify())
            if meant is not None and meant != there:
                raise NeuroampError(
                    f"the page shows the device {desk.text(meant, 'the device')!r} but {there!r} "
                    "is connected; nothing was done; look at the page and repeat it."
                )
            return act(client)

        return {"message": run(checked), "state": state_as_json(session.state)}

    return Guard(app, token)


async def event_stream(session: DeviceSession) -> AsyncIterator[str]:
    """Server-sent events 'state', 'levels' and 'times', each with the latest there is.

    Ends when the session is closed. A browser that reads slowly misses levels, never the latest.
    """
    loop = asyncio.get_running_loop()
    news = asyncio.Event()
    waiting = {"state", "times"}

    def tell(what: str) -> None:
        waiting.add(what)
        news.set()

    def told(what: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, what)

    end = session.subscribe(told)
    news.set()
    try:
        while not session.closing:
            try:
                await asyncio.wait_for(news.wait(), HEARTBEAT_S)
            except TimeoutError:
                yield ": still there\n\n"
                continue
            news.clear()
            topics, now = sorted(waiting), session.state
            waiting.clear()
            for topic in topics:
                yield f"event: {topic}\ndata: {json.dumps(_latest(session, topic, now))}\n\n"
    finally:
        end()


def _latest(session: DeviceSession, topic: str, state: Any) -> Any:
    if topic == "state":
        return state_as_json(state)
    if topic == "levels":
        return levels_as_json(session.levels)
    return times_as_json(session.times, state.identity)
