"""The fitting page's server, with a device that has no wire."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from neuroamp.audiogram import BISGAARD, Ear, bisgaard
from neuroamp.audiogram_files import listeners_from_text
from neuroamp.link.codes import Output
from neuroamp_host.fitting.page import desk
from neuroamp_host.fitting.page.server import event_stream, make_app
from neuroamp_host.local_page.guard import COOKIE, LARGEST_BODY_BYTES
from neuroamp_host.prescription.fit import make_fitting

N3 = desk.points_of(bisgaard("N3"))
S1 = desk.points_of(bisgaard("S1"))
GAIN_TABLE = "frequency_hz,input_db_spl,gain_db\n500,50,24\n500,65,20\n500,80,16\n"


def both(**more: Any) -> dict[str, Any]:
    return {"ears": {"right": {"points": N3}, "left": {"points": S1}}, **more}


def right(**wanted: Any) -> dict[str, Any]:
    return {"ears": {"right": {"points": N3, **wanted}}}


def is_sentence(answer: dict[str, Any]) -> bool:
    """One sentence, with a capital and a full stop, that names no Python."""
    text = answer["error"]
    return bool(re.fullmatch(r"[^a-z].*\.", text, re.DOTALL)) and "Traceback" not in text


def test_the_page_and_its_files_are_served(bench) -> None:
    page = bench.browser.get("/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    linked = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert {"app.js", "style.css"} <= set(linked)
    for name in linked:
        assert bench.browser.get(f"/{name}").status_code == 200, name
    # Whatever a module imports is there as well, and nothing comes from elsewhere.
    for path in desk_files(bench):
        text = bench.browser.get(f"/{path}").text
        assert not re.search(r"https?://(?!www\.w3\.org/)", text), path
        for name in re.findall(r'from "\./([^"]+)"', text):
            assert bench.browser.get(f"/{name}").status_code == 200, name


def desk_files(bench) -> list[str]:
    return ["app.js", "audiogram.js", "gains.js", "live.js", "points.js", "report.js", "style.css"]


@pytest.mark.parametrize(
    "path", ["/nothing.html", "/server.py", "/..%2fserver.py", "/%2e%2e/desk.py", "/style.css/x"]
)
def test_no_other_file_is_served(bench, path: str) -> None:
    answer = bench.browser.get(path)
    assert answer.status_code in (400, 404)
    assert is_sentence(answer.json())


def test_targets_are_the_prescription_s(bench) -> None:
    status, answer = bench.post("/api/targets", both())
    assert status == 200
    fitting = make_fitting(bisgaard("N3"), Ear.RIGHT)
    np.testing.assert_allclose(answer["right"]["gain_db"]["65"], fitting.gain_65_db)
    np.testing.assert_allclose(answer["right"]["compression_ratio"], fitting.compression_ratio)
    soft, loud = answer["left"]["gain_db"]["50"], answer["left"]["gain_db"]["80"]
    assert all(s >= x for s, x in zip(soft, loud, strict=True))
    assert soft != loud


@pytest.mark.parametrize("rule", [*desk.RULES, desk.GAIN_TABLE])
def test_every_rule_can_be_chosen(bench, rule: str) -> None:
    table = {"name": "gains.csv", "text": GAIN_TABLE}
    status, answer = bench.post("/api/targets", right(rule=rule, table=table))
    assert status == 200
    assert "error" not in answer["right"], answer
    if rule == desk.GAIN_TABLE:
        assert answer["right"]["gain_db"]["65"] == [20.0] * 11
        assert answer["right"]["fitting"]["rule"] == "gains.csv"


WRONG = {
    "6080 typed in a box": right(points=[[1000, 6080, False]]),
    "below the range": right(points=[[1000, -11, False]]),
    "no number": right(points=[[1000, "forty", False]]),
    "a number as text": right(points=[["1000", 40, False]]),
    "nothing measured": right(points=[[1000, None, False]]),
    "no points": right(points=[]),
    "points missing": {"ears": {"right": {}}},
    "a frequency twice": right(points=[[1000, 40, False], [1000, 50, False]]),
    "a frequency out of range": right(points=[[100, 40, False]]),
    "a mark without a level": right(points=[[500, 20, False], [1000, None, True]]),
    "a mark that is no mark": right(points=[[1000, 40, 1]]),
    "half a point": right(points=[[1000, 40]]),
    "too many points": right(points=[[1000 + i, 40, False] for i in range(65)]),
    "another rule": right(rule="nal-nl2"),
    "a path as the rule": right(rule="/etc/passwd.csv"),
    "a table that is not there": right(rule=desk.GAIN_TABLE),
    "a table that is none": right(rule=desk.GAIN_TABLE, table={"name": "x.csv", "text": "no"}),
    "a table of numbers": right(rule=desk.GAIN_TABLE, table={"name": "x.csv", "text": 5}),
    "an MPO above the range": right(mpo_db_spl=121),
    "an MPO below the range": right(mpo_db_spl=59.9),
    "an MPO as text": right(mpo_db_spl="110"),
    "an MPO that is nothing": right(mpo_db_spl=None),
    "noise reduction beyond all": right(noise_reduction=1.01),
    "linear that is a word": right(linear="yes"),
    "an ear that is a list": {"ears": {"right": [1, 2]}},
    "another ear": {"ears": {"middle": {"points": N3}}},
    "a long name": right(name="x" * 300),
}


@pytest.mark.parametrize("body", WRONG.values(), ids=list(WRONG))
def test_a_wrong_value_is_refused_in_a_sentence_and_nothing_is_sent(bench, body) -> None:
    status, answer = bench.post("/api/targets", body)
    assert status == 200
    assert is_sentence(next(iter(answer.values()))), answer
    for path in ("/api/commit", "/api/try"):
        status, answer = bench.post(path, {**body, "seconds": 30})
        assert status == 400
        assert is_sentence(answer), answer
    assert bench.device.staged == {} == bench.device.stored
    assert "try" not in bench.device.done


def test_a_file_of_this_computer_is_no_rule_although_it_is_a_gain_table(bench, tmp_path) -> None:
    table = tmp_path / "gains.csv"
    table.write_text(GAIN_TABLE, encoding="utf-8")
    _, answer = bench.post("/api/targets", right(rule=str(table)))
    assert "no prescription rule" in answer["right"]["error"]


def test_6080_is_named_with_its_range(bench) -> None:
    _, answer = bench.post("/api/commit", WRONG["6080 typed in a box"])
    assert "right ear" in answer["error"]
    assert "6080" in answer["error"]
    assert "-10 to 120 dB HL" in answer["error"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/commit", {}),
        ("/api/commit", {"ears": {}}),
        ("/api/commit", {"ears": None}),
        ("/api/try", both()),
        ("/api/try", both(seconds=4)),
        ("/api/try", both(seconds=301)),
        ("/api/try", both(seconds="30")),
        ("/api/try", both(seconds=True)),
        ("/api/mute", {"on": 1}),
        ("/api/mute", {}),
        ("/api/volume", {"db": 10.5}),
        ("/api/volume", {"db": None}),
        ("/api/connect", {"port": 5}),
        ("/api/connect", {"port": "/dev/other"}),
        ("/api/audiogram-file", {"name": "x.csv", "text": "none of it"}),
        ("/api/audiogram-file", {"name": "x.json", "text": "{"}),
        ("/api/audiogram-file", {"name": "x.json", "text": None}),
        ("/api/save-audiogram", {"name": "Ada", "ears": {}}),
        ("/api/save-audiogram", {"name": 3, "ears": {"right": {"points": N3}}}),
        ("/api/report", both(client=7)),
        ("/api/targets", {"ears": 3}),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(bench, path: str, body: Any) -> None:
    status, answer = bench.post(path, body)
    assert status == 400
    assert is_sentence(answer), answer


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'"x"', b"\xff\xfe", b"null", b"[" * 100_000, b"5" * 10_000]
)
def test_a_body_that_is_no_json_object_is_refused_in_a_sentence(bench, content: bytes) -> None:
    answer = bench.browser.post(
        "/api/commit", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert is_sentence(answer.json())


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_numbers_that_are_none_are_refused(bench, word: str) -> None:
    for place in ("points", "mpo"):
        level, mpo = (word, "110") if place == "points" else ("40", word)
        text = (
            '{"ears": {"right": {"points": [[1000, %s, false]], "mpo_db_spl": %s}}}' % (level, mpo)  # noqa: UP031
        )
        answer = bench.browser.post(
            "/api/commit", content=text, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 400
        assert is_sentence(answer.json())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["ears", "right", "left", "points", "rule", "table", "text", "name"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ears=json_values, seconds=json_values)
def test_whatever_json_comes_the_answer_is_a_fitting_or_a_sentence(bench, ears, seconds) -> None:
    body = json.dumps({"ears": ears, "seconds": seconds})
    for path in ("/api/targets", "/api/try", "/api/report", "/api/save-audiogram"):
        answer = bench.browser.post(
            path, content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code in (200, 400)
        assert answer.status_code == 200 or is_sentence(answer.json()), answer.text


def test_a_trial_is_heard_confirmed_and_ended(bench) -> None:
    status, answer = bench.post("/api/try", both(seconds=30))
    assert status == 200
    assert "30 s" in answer["message"]
    assert set(answer["state"]["trial"]["ears"]) == {"left", "right"}
    assert 0 < answer["state"]["trial"]["remaining_s"] <= 30
    target = make_fitting(bisgaard("N3"), Ear.RIGHT).gain_65_db
    heard = answer["state"]["ears"]["right"]["applied"]["gain_db"]
    np.testing.assert_allclose(heard, target, atol=1e-4)
    assert bench.device.stored == {}
    status, answer = bench.post("/api/revert")
    assert status == 200
    assert answer["state"]["trial"] is None
    assert bench.device.trial == {}


def test_a_trial_s_end_is_noticed(bench) -> None:
    bench.post("/api/try", both(seconds=30))
    bench.device.trial_ends = 0.0
    bench.wait(lambda: bench.state()["trial"] is None)
    assert bench.state()["ears"]["left"]["applied"]["source"] == "unfitted"


def test_a_fitting_is_stored_for_the_right_ears_with_its_audiogram(bench) -> None:
    status, answer = bench.post("/api/commit", both())
    assert status == 200, answer
    for ear, name in ((Ear.RIGHT, "N3"), (Ear.LEFT, "S1")):
        record = bench.device.stored[ear]
        assert record.fitting.ear is ear
        assert record.audiogram.thresholds_db_hl == bisgaard(name).thresholds_db_hl
        assert record.time_s > 1_700_000_000
        shown = answer["state"]["ears"][ear.value]
        assert shown["points"] == desk.points_of(bisgaard(name))
        assert shown["stored"]["rule"] == "nal-r"
    assert bench.device.done.count("commit") == 1


def test_one_ear_alone_leaves_the_other(bench) -> None:
    bench.post("/api/commit", both())
    left = bench.device.stored[Ear.LEFT]
    status, _ = bench.post("/api/commit", right(mpo_db_spl=100))
    assert status == 200
    assert bench.device.stored[Ear.RIGHT].fitting.mpo_db_spl == 100.0
    assert bench.device.stored[Ear.LEFT] is left


def test_an_ear_that_the_device_lacks_is_refused(bench, device) -> None:
    device.ears = frozenset({Ear.LEFT})
    device.plugged = False
    bench.wait(lambda: not bench.session.state.connected)
    device.plugged = True
    bench.wait(lambda: bench.session.state.connected)
    status, answer = bench.post("/api/commit", both())
    assert status == 400
    assert "no right ear" in answer["error"]
    assert device.stored == {}


def test_gains_that_the_device_does_not_apply_are_an_error(bench, device) -> None:
    device.gain_error_db = 3.0
    status, answer = bench.post("/api/try", both(seconds=30))
    assert status == 400
    assert "3.0 dB" in answer["error"]
    assert device.trial == {}, "a trial that is not what was asked for must not go on"


def test_the_volume_is_no_error(bench, device) -> None:
    status, _ = bench.post("/api/volume", {"db": -6})
    assert status == 200
    assert device.volume_db == -6.0
    status, answer = bench.post("/api/commit", both())
    assert status == 200, answer
    assert bench.state()["volume_db"] == -6.0


@pytest.mark.parametrize("step", ["stage", "try", "applied"])
def test_a_device_lost_in_a_trial_applies_nothing_or_ends_by_itself(bench, device, step) -> None:
    device.fail_at = step
    status, answer = bench.post("/api/try", both(seconds=30))
    assert status == 400
    assert "went away" in answer["error"]
    assert device.stored == {}
    bench.wait(lambda: bench.session.state.lost)
    state = bench.state()
    assert not state["connected"]
    assert "went away" in state["error"]
    assert state["trial"] is None
    assert state["ears"] == {}
    status, answer = bench.post("/api/commit", both())
    assert (status, is_sentence(answer)) == (400, True)
    device.plugged = True
    bench.wait(lambda: bench.session.state.connected)
    # What is shown is what the device says, not what was asked of it before.
    assert (bench.state()["trial"] is not None) == bool(device.trial)
    status, _ = bench.post("/api/commit", both())
    assert status == 200


@pytest.mark.parametrize("step", ["stage", "commit"])
def test_a_device_lost_before_it_stored_has_stored_nothing(bench, device, step) -> None:
    device.fail_at = step
    status, _ = bench.post("/api/commit", both())
    assert status == 400
    assert device.stored == {}


def test_a_loss_is_noticed_without_a_command(bench, device) -> None:
    device.plugged = False
    bench.wait(lambda: bench.session.state.lost)
    device.plugged = True
    bench.wait(lambda: bench.session.state.connected)
    assert bench.state()["error"] == ""


def test_a_device_that_talks_nonsense_is_lost_not_the_page(bench, device, monkeypatch) -> None:
    def levels(_: Any) -> Any:
        raise ValueError("nonsense")

    kind = type(bench.session._client)
    with monkeypatch.context() as patch:
        patch.setattr(kind, "levels", levels)
        bench.wait(lambda: bench.session.state.lost)
        assert "nonsense" in bench.state()["error"]
    bench.wait(lambda: bench.session.state.connected)


def test_an_uncalibrated_ear_is_said(bench) -> None:
    assert bench.state()["uncalibrated"] == []
    bench.device.calibrated = False
    bench.wait(lambda: bench.state()["uncalibrated"] == ["left", "right"])


def test_another_device_is_not_fitted_by_mistake(bench, device) -> None:
    shown = bench.state()["identity"]["key"]
    device.plugged = False
    bench.wait(lambda: bench.session.state.lost)
    device.serial, device.plugged = "B2", True
    bench.wait(lambda: bench.session.state.connected)
    status, answer = bench.post("/api/commit", both(device=shown))
    assert status == 400
    assert "B2" in answer["error"]
    assert device.stored == {}
    status, _ = bench.post("/api/commit", both(device=bench.state()["identity"]["key"]))
    assert status == 200


def test_mute_and_panic(bench, device) -> None:
    assert bench.post("/api/mute", {"on": True})[0] == 200
    assert bench.state()["output"] == "muted"
    assert bench.post("/api/mute", {"on": False})[0] == 200
    bench.post("/api/try", both(seconds=30))
    status, _ = bench.post("/api/panic")
    assert status == 200
    assert device.output is Output.SILENT
    assert device.trial == {}
    assert bench.state()["trial"] is None


def test_panic_without_a_device_says_what_to_do(bench, device) -> None:
    device.plugged = False
    bench.wait(lambda: bench.session.state.lost)
    status, answer = bench.post("/api/panic")
    assert status == 400
    assert "out of the ear" in answer["error"]


def test_a_port_is_chosen_and_one_where_nothing_answers_is_said(bench) -> None:
    assert "ports" in bench.browser.get("/api/ports").json()
    status, answer = bench.post("/api/connect", {"port": "/dev/other"})
    assert status == 400
    assert "/dev/other" in answer["error"]
    assert not bench.state()["connected"]
    status, _ = bench.post("/api/connect", {"port": "/dev/fake"})
    assert status == 200
    assert bench.state()["connected"]


def test_audiogram_files_are_read_and_written(bench) -> None:
    ears = both()["ears"]
    _, saved = bench.post("/api/save-audiogram", {"name": "Ada", "ears": ears})
    (listener,) = listeners_from_text(saved["text"], "saved")
    assert listener.right == bisgaard("N3").__class__(
        bisgaard("N3").frequencies_hz, bisgaard("N3").thresholds_db_hl
    )
    _, read = bench.post("/api/audiogram-file", {"name": "ada.json", "text": saved["text"]})
    assert read["listeners"] == [{"name": "Ada", "right": N3, "left": S1}]
    table = "listener,ear,500,1000,4000\nBob,right,30,,>110\n"
    _, read = bench.post("/api/audiogram-file", {"name": "bob.csv", "text": "\ufeff" + table})
    assert read["listeners"][0]["right"] == [
        [500, 30, False],
        [1000, None, False],
        [4000, 110, True],
    ]
    assert read["listeners"][0]["left"] is None


def test_the_page_offers_the_ten_standard_audiograms_and_the_limits(bench) -> None:
    limits = bench.browser.get("/api/limits").json()
    assert set(limits["standard"]) == set(BISGAARD)
    assert limits["threshold_db_hl"] == [-10.0, 120.0]
    assert [rule["name"] for rule in limits["rules"]] == [*desk.RULES, desk.GAIN_TABLE]


def test_the_report_says_what_the_device_has(bench) -> None:
    words = {"client": "Ada <b>", "fitter": "F", "note": 'a "note"'}

    def report() -> str:
        _, answer = bench.post("/api/report", both(**words))
        page = bench.browser.get(answer["url"])
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        return page.text

    text = report()
    assert "Ada &lt;b&gt;" in text
    assert "<b>" not in text
    assert "<script" not in text
    assert "Not stored in the device" in text
    assert "Fake aid, serial A1" in text
    bench.post("/api/commit", both())
    assert report().count("confirmed that it applies it") == 2
    bench.post("/api/volume", {"db": 5})
    assert "volume +5 dB" in report()
    bench.device.plugged = False
    bench.wait(lambda: bench.session.state.lost)
    assert "not connected" in report()
    assert bench.browser.get("/report/nothing").status_code == 400


def test_a_report_of_no_response_says_so(bench) -> None:
    points = [[500, 40, False], [1000, None, False], [4000, 110, True]]
    _, answer = bench.post("/api/report", right(points=points))
    text = bench.browser.get(answer["url"]).text
    assert "no response at 110" in text


def test_events_stream_the_state_the_levels_and_the_times(bench, device) -> None:
    """Read at the source: an HTTP client would wait for an end that does not come."""

    async def read() -> dict[str, Any]:
        seen: dict[str, Any] = {}
        async for chunk in event_stream(bench.session):
            match = re.fullmatch(r"event: (\w+)\ndata: (.*)\n\n", chunk)
            if match:
                seen[match[1]] = json.loads(match[2])
            if len(seen) == 3 and seen["times"]:
                if not device.plugged and seen["state"]["lost"]:
                    return seen
                device.plugged = False
        return seen

    seen = asyncio.run(asyncio.wait_for(read(), 60.0))
    assert not seen["state"]["connected"]
    assert seen["levels"] == {} or seen["levels"]["left"]["output_db_spl"] == 80.0
    assert seen["times"]["count"] == 4
    assert seen["times"]["late"] == 1
    assert seen["times"]["deadline_us"] == 2000.0
    assert sum(count for _, _, count in seen["times"]["buckets"]) == 4


def test_the_stream_ends_with_the_session(bench) -> None:
    async def read() -> None:
        async for _ in event_stream(bench.session):
            await asyncio.to_thread(bench.session.close)

    asyncio.run(asyncio.wait_for(read(), 60.0))


# ---- who may ask


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8642", "192.168.1.9", "", "[::2]"])
def test_another_name_for_this_computer_is_refused(bench, host: str) -> None:
    for path in ("/", "/api/state"):
        answer = bench.browser.get(path, headers={"host": host})
        assert answer.status_code == 421
        assert is_sentence(answer.json())
    assert bench.browser.post("/api/panic", json={}, headers={"host": host}).status_code == 421
    assert "panic" not in bench.device.done


@pytest.mark.parametrize("host", ["127.0.0.1:8642", "localhost:8642", "localhost", "[::1]:8642"])
def test_this_computer_s_own_names_are_taken(bench, host: str) -> None:
    assert bench.browser.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
    ],
)
def test_another_page_s_commands_do_nothing(bench, headers: dict[str, str]) -> None:
    sent = {"content-type": "application/json", **headers}
    answer = bench.browser.post("/api/panic", content=b"{}", headers=sent)
    assert answer.status_code in (403, 415)
    assert is_sentence(answer.json())
    assert "panic" not in bench.device.done


def test_the_page_s_own_commands_are_taken(bench) -> None:
    headers = {"origin": "http://127.0.0.1:8642", "sec-fetch-site": "same-origin"}
    assert bench.browser.post("/api/panic", json={}, headers=headers).status_code == 200


def test_another_page_reads_nothing_but_may_link_here(bench) -> None:
    cross = {"sec-fetch-site": "cross-site"}
    no_cors = {**cross, "sec-fetch-mode": "no-cors"}
    assert bench.browser.get("/api/state", headers=no_cors).status_code == 403
    assert bench.browser.get("/app.js", headers=no_cors).status_code == 403
    follow = {**cross, "sec-fetch-mode": "navigate"}
    assert bench.browser.get("/", headers=follow).status_code == 200
    assert bench.browser.get("/api/state", headers=follow).status_code == 403


def test_too_much_is_refused(bench) -> None:
    body = b"{" + b" " * LARGEST_BODY_BYTES + b"}"
    answer = bench.browser.post(
        "/api/targets", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413
    assert "MiB" in answer.json()["error"]


TOKEN = "a-token-of-a-person"


@pytest.fixture
def elsewhere(session) -> TestClient:
    return TestClient(make_app(session, TOKEN), base_url="http://192.168.1.9:8642")


def test_elsewhere_everything_wants_the_token(elsewhere, device) -> None:
    for path in ("/", "/app.js", "/api/state", "/api/events", "/report/x", "/?token=wrong"):
        answer = elsewhere.get(path)
        assert answer.status_code == 401, path
        assert is_sentence(answer.json())
    assert elsewhere.post("/api/panic", json={}).status_code == 401
    wrong = {"authorization": "Bearer wrong", "cookie": f"{COOKIE}=wrong"}
    assert elsewhere.get("/api/state", headers=wrong).status_code == 401
    assert "panic" not in device.done


def test_elsewhere_the_token_opens_the_page_and_leaves_the_address(elsewhere) -> None:
    first = elsewhere.get(f"/?token={TOKEN}", follow_redirects=False)
    assert first.status_code == 303
    assert first.headers["location"] == "/"
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert elsewhere.get("/").status_code == 200
    assert elsewhere.get("/api/state").status_code == 200
    foreign = elsewhere.post("/api/panic", json={}, headers={"origin": "http://evil.example"})
    assert foreign.status_code == 403


def test_elsewhere_a_program_may_send_the_token_itself(elsewhere) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert elsewhere.get("/api/state", headers=headers).status_code == 200
