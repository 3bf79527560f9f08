"""Generators by API against a server on this machine: faults, budget, restarts, and where the key is."""

import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from decimal import Decimal
from email.utils import formatdate
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.errors import AssayError
from assets.images.imageset import ImageSet
from assets.params import Sampler
from assets.section import checked_options
from models.generators import Drawn, Request, fit, open_model
from models.generators.api import ApiDrawer
from models.generators.options import ApiOptions
from models.generators.service.asking import Asker
from models.generators.service.client import Service
from models.generators.service.download import DownloadError, download
from models.generators.service.pace import AHEAD, MOST, Pace
from models.generators.service.spending import Spending
from tasks.fit import fit as fit_stage
from tasks.generate import generate
from tests.images_server import ImagesServer, fault, gone, hang_up, link, picture, raw, send
from tests.samples import params

KEY = "sk-test-0123456789abcdef-not-to-be-seen"
ROOT = Path(__file__).parents[1]
HTML = raw(b"<html><body>Bad gateway</body></html>", "text/html")


@pytest.fixture(autouse=True)
def _alone(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, a key, no proxy, no waiting."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(Asker, "_pause", lambda self, seconds, stop: PAUSES.append(seconds) or stop.is_set())
    PAUSES.clear()


PAUSES: list[float] = []
"""Seconds that would have been waited, 0 before a request that may be sent at once."""


@pytest.fixture
def server() -> Iterator[ImagesServer]:
    with ImagesServer() as running:
        yield running


def options(server: ImagesServer, **changes: Any) -> dict[str, Any]:
    own = {
        "model": "dall-e-3",
        "base_url": server.url,
        "usd_per_image": 0.04,
        "budget_usd": 10,
        "parallel": 1,
    }
    return own | changes


def opened(server: ImagesServer, **changes: Any) -> ApiDrawer:
    checked: ApiOptions = checked_options(ApiOptions, options(server, **changes), "fit (api)")
    return ApiDrawer("dalle", checked, Sampler(batch=8))


def requests(*seeds: int) -> list[Request]:
    return [Request(seed, f"photo of thing {seed}") for seed in seeds]


def waits() -> list[float]:
    return [seconds for seconds in PAUSES if seconds > 0]


def data(drawn: list[Drawn]) -> list[bytes | None]:
    return [one.data for one in drawn]


def test_a_folder_is_fitted_without_a_key_and_draws_what_the_service_sends(
    server: ImagesServer, monkeypatch: pytest.MonkeyPatch, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    asked = {
        "dimensions": "1024x1024",
        "quality": "hd",
        "style": "natural",
        "extra": {"background": "opaque"},
    }
    fit("api", np.empty((0, 1, 1, 3), np.uint8), workdir / "dalle", options(server, **asked), 1, "cpu")
    drawer = open_model(workdir / "dalle", Sampler(batch=4), "cpu")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.replies = [picture(revised_prompt="A detailed photo of thing 1")]
    first, second = drawer.draw(requests(1, 2))
    assert [first.data, second.data] == server.sent
    assert first.note == {
        "created": 1700000000, "request_id": "req_1", "revised_prompt": "A detailed photo of thing 1"
    }  # fmt: skip
    assert "revised_prompt" not in second.note
    sent = {
        "model": "dall-e-3",
        "size": "1024x1024",
        "quality": "hd",
        "style": "natural",
        "background": "opaque",
    }
    assert server.asked == [{**sent, "prompt": f"photo of thing {seed}"} for seed in (1, 2)]
    assert drawer.record == {
        "kind": "api",
        "model_id": "dall-e-3",
        "host": server.host,
        "options": {name: value for name, value in sent.items() if name != "model"},
        "batch": 4,
        "safety_checker": None,
        "watermarker": None,
        "repeatable": False,
        "versions": {"openai": drawer.record["versions"]["openai"]},
    }
    told = capsys.readouterr().err
    assert "dall-e-3 at 127.0.0.1" in told
    assert "2 images, at most $0.08" in told
    assert "budget $10.00, spent so far $0.00: enough for 250 more images at $0.04 each" in told


def test_only_what_is_set_is_sent_and_token_counts_are_noted(server: ImagesServer) -> None:
    def reply(handler: Any) -> None:
        usage = {"total_tokens": 4175, "output_tokens": 4160, "input_tokens_details": {"text_tokens": 15}}
        send(handler, {"created": 5, "data": [{"b64_json": PNG}], "usage": usage})

    server.replies = [reply]
    (drawn,) = opened(server, model="gpt-image-2").draw(requests(1))
    assert server.asked == [{"model": "gpt-image-2", "prompt": "photo of thing 1"}]
    assert drawn.note["usage"] == {"total_tokens": 4175, "output_tokens": 4160}


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC"


def test_an_image_has_one_answer_however_often_it_is_asked_for(server: ImagesServer) -> None:
    drawer = opened(server)
    drawn = drawer.draw([*requests(1, 2), *requests(1), Request(2, "photo of thing 1")])
    assert len(server.asked) == 3
    assert drawn[0] == drawn[2]
    assert len(set(data(drawn))) == 3


# --- faults that pass


def half_a_minute_on() -> str:
    """As a date in the form of HTTP."""
    return formatdate(time.time() + 30, usegmt=True)


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ([fault(429, "rate_limit_exceeded", Retry_After="7")], [(5, 7)]),
        ([fault(429, "rate_limit_exceeded")], [(0.5, 1)]),
        ([fault(429, None, Retry_After_Ms="1500")], [(0.1, 1.5)]),
        ([lambda handler: fault(503, Retry_After=half_a_minute_on())(handler)], [(20, 30)]),
        ([fault(500), fault(502), fault(500)], [(0.5, 1), (1, 2), (2, 4)]),
        ([raw(b"<html>Gateway time-out</html>", "text/html", 504)], [(0.5, 1)]),
        ([hang_up], [(0.5, 1)]),
    ],
)
def test_what_fails_for_a_while_is_asked_again(
    server: ImagesServer, faults: list[Any], expected: list[tuple[float, float]]
) -> None:
    server.replies = list(faults)
    (drawn,) = opened(server).draw(requests(1))
    assert drawn.data == server.sent[0]
    assert len(server.asked) == len(faults) + 1
    assert len(waits()) == len(expected)
    assert all(low <= waited <= high for waited, (low, high) in zip(waits(), expected, strict=True))


def test_a_time_out_is_asked_again_and_counted_since_it_may_have_been_charged(server: ImagesServer) -> None:
    server.replies = [picture(after=5)]
    drawer = opened(server, timeout_s=1)
    (drawn,) = drawer.draw(requests(1))
    assert drawn.data is not None
    assert drawer.spending.spent == Decimal("0.08")
    assert drawer.spending.unanswered == (1, Decimal("0.04"))


@pytest.mark.parametrize(
    ("one", "spent"),
    [
        (fault(429), "0.04"),
        (fault(503), "0.04"),
        (fault(500), "0.08"),
        (hang_up, "0.08"),
    ],
)
def test_only_what_surely_cost_nothing_is_not_counted(server: ImagesServer, one: Any, spent: str) -> None:
    server.replies = [one]
    drawer = opened(server)
    drawer.draw(requests(1))
    assert drawer.spending.spent == Spending(drawer.spending.path).spent == Decimal(spent)


def test_a_service_that_cannot_be_reached_costs_nothing(server: ImagesServer) -> None:
    drawer = opened(server, base_url="http://127.0.0.1:9/v1", retries=2)
    with pytest.raises(
        AssayError, match=r"gave up after 3 tries: 127\.0\.0\.1:9: Connection error\. 0 of the 1"
    ):
        drawer.draw(requests(1))
    assert drawer.spending.spent == 0


def test_it_gives_up_with_the_last_error_and_goes_on_when_started_again(server: ImagesServer) -> None:
    server.replies = [picture(), fault(500, None, "first"), fault(500, None, "and last")]
    with pytest.raises(AssayError) as caught:
        opened(server, retries=1).draw(requests(1, 2, 3))
    said = str(caught.value)
    assert f"gave up after 2 tries: {server.host} answers 500: and last. 1 of the 3 images" in said
    assert "$0.12 of $10.00 may have been spent ($0.08 of it for 2 without an answer). Start again" in said
    drawn = opened(server, retries=1).draw(requests(1, 2, 3))
    assert data(drawn) == server.sent
    assert len(server.asked) == 5


# --- faults that do not


@pytest.mark.parametrize("code", ["content_policy_violation", "moderation_blocked", "contentFilter"])
def test_a_refusal_is_a_row_and_stays_one(server: ImagesServer, code: str) -> None:
    server.replies = [fault(400, code, "Your request was rejected by the safety system.")]
    refused, drawn = opened(server).draw(requests(1, 2))
    assert refused == Drawn(reason=f"refused: {code.lower()}")
    assert drawn.data == server.sent[0]
    assert opened(server).draw(requests(1, 2)) == [refused, drawn]
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (
            fault(401, "invalid_api_key", f"Incorrect API key provided: {KEY}"),
            "environment variable OPENAI_API_KEY",
        ),
        (fault(403, "model_not_available", "Not in your country"), "Not in your country"),
        (
            fault(404, "model_not_found", "The model was retired"),
            "was retired. Check fit.dalle.options: model is",
        ),
        (
            fault(400, "unknown_parameter", "Unknown parameter: 'style'"),
            "Unknown parameter: 'style'. Check fit",
        ),
        (
            fault(429, "insufficient_quota", "You exceeded your quota"),
            "has no money left (insufficient_quota)",
        ),
        (
            fault(400, "billing_hard_limit_reached", "Hard limit"),
            "has no money left (billing_hard_limit_reached)",
        ),
        (fault(402, None, "Pay"), "has no money left (402)"),
        (fault(429, None, "Come back", Retry_After="7200"), "left alone for 7200 s"),
        (HTML, "answers with text/html, which is no list of images: does fit.dalle.options.base_url lack"),
        (raw(b"{", "application/json"), "answers with application/json, which is no list of images"),
    ],
)
def test_what_a_user_has_to_mend_stops_at_once(server: ImagesServer, one: Any, said: str) -> None:
    server.each = one
    with pytest.raises(AssayError) as caught:
        opened(server).draw(requests(1, 2))
    assert said in str(caught.value)
    assert "0 of the 2 images asked for are there" in str(caught.value)
    assert len(server.asked) == 1


def test_what_is_no_picture_is_a_row_and_not_paid_for_again(server: ImagesServer) -> None:
    def sends(image: dict[str, str]) -> Any:
        return lambda handler: send(handler, {"created": 1, "data": [image] if image else []})

    server.replies = [sends({"b64_json": "PGh0bWw+"}), sends({"b64_json": "?"}), sends({})]
    drawn = opened(server).draw(requests(1, 2, 3, 4))
    assert [one.reason for one in drawn] == [
        "no picture: not an image, or of an unsupported format",
        "no picture: not an image, or of an unsupported format",
        "the service sent no image",
        None,
    ]
    assert opened(server).draw(requests(1, 2, 3, 4)) == drawn
    assert len(server.asked) == 4


def test_a_service_that_sends_nothing_useful_is_not_paid_on_and_on(server: ImagesServer) -> None:
    server.each = lambda handler: send(handler, {"created": 1, "data": [{}]})
    with pytest.raises(
        AssayError, match="accepted 5 requests in a row and sent no picture, the last time because"
    ):
        opened(server).draw(requests(*range(20)))
    assert len(server.asked) == 5
    server.replies = [server.each] * 4 + [picture()] + [server.each] * 4
    server.each = picture()
    assert len(opened(server).draw(requests(*range(100, 110)))) == 10


# --- links


def test_a_link_is_downloaded_without_the_key_and_tried_again(server: ImagesServer) -> None:
    short = raw(b"cut", "image/png", 200)
    server.replies = [link("http://{host}/files/1.png?sig=secret", fault(500), HTML, short)]
    drawer = opened(server)
    (drawn,) = drawer.draw(requests(1))
    assert drawn.data == server.sent[0]
    assert drawn.note["revised_prompt"] == "revised"
    assert server.keys == [f"Bearer {KEY}", None, None, None, None]
    assert len(server.asked) == 1
    assert drawer.spending.spent == Decimal("0.04")
    assert "sig=secret" not in everything_in(Path())


def test_a_paid_link_is_fetched_after_a_restart_and_asked_for_again_only_when_it_is_dead(
    server: ImagesServer,
) -> None:
    server.replies = [link("http://{host}/files/1.png", fault(500))]
    with pytest.raises(AssayError, match="the image's link answers 500"):
        opened(server, retries=0).draw(requests(1))
    (drawn,) = opened(server, retries=0).draw(requests(1))
    assert drawn.data == server.sent[0]
    assert drawn.note["revised_prompt"] == "revised"
    assert len(server.asked) == 1
    server.replies = [link("http://{host}/files/2.png", fault(500), gone)]
    with pytest.raises(AssayError, match="the image's link answers 500"):
        opened(server, retries=0).draw(requests(2))
    drawer = opened(server, retries=0)
    (drawn,) = drawer.draw(requests(2))
    assert drawn.data == server.sent[2]
    assert drawer.spending.spent == Decimal("0.12")


@pytest.mark.parametrize(
    "place",
    ["http://example.com/x.png", "file:///etc/passwd", "ftp://example.com/x.png", "https:///x", "http://[x"],
)
def test_links_to_elsewhere_are_not_followed(server: ImagesServer, place: str) -> None:
    with pytest.raises(DownloadError, match="leads neither to an https address nor to the service itself"):
        download(place, server.url, 10)


def test_redirections_to_elsewhere_are_not_followed(server: ImagesServer) -> None:
    server.files["/from"] = [raw(b"", "text/plain", 302, Location="http://localhost:1/x")]
    with pytest.raises(DownloadError, match="leads neither"):
        download(f"http://{server.host}/from", server.url, 10)
    server.files["/from"] = [raw(b"", "text/plain", 302, Location="/to")]
    server.files["/to"] = [raw(b"there", "text/plain")]
    assert download(f"http://{server.host}/from", server.url, 10) == b"there"


def test_downloads_end(server: ImagesServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["/cut"] = [raw(b"abc", "image/png", 200, **{"Content-Length": "10"})]
    with pytest.raises(DownloadError, match="cut short") as caught:
        download(f"http://{server.host}/cut", server.url, 10)
    assert caught.value.again
    monkeypatch.setattr("models.generators.service.download.MAX_BYTES", 1000)
    server.files["/big"] = [raw(b"x" * 1001, "image/png")]
    with pytest.raises(DownloadError, match="has more than 1000 bytes") as caught:
        download(f"http://{server.host}/big", server.url, 10)
    assert not caught.value.again


# --- budget


def test_the_budget_stops_before_it_is_exceeded_and_counts_over_openings(server: ImagesServer) -> None:
    drawn = opened(server, usd_per_image=0.1, budget_usd=0.5).draw(requests(1, 2))
    with pytest.raises(AssayError) as caught:
        opened(server, usd_per_image=0.1, budget_usd=0.5).draw(requests(*range(1, 9)))
    assert len(server.asked) == 5
    assert str(caught.value) == (
        "the budget of $0.50 does not allow another request. 5 of the 8 images asked for are there; $0.50 of "
        "$0.50 may have been spent. Start again to go on, and set fit.dalle.options.budget_usd to 0.8 or "
        "more for these images alone: images in .assay/api are not paid for twice"
    )
    whole = opened(server, usd_per_image=0.1, budget_usd=0.8, parallel=8).draw(requests(*range(1, 9)))
    assert len(server.asked) == 8
    assert data(whole[:2]) == data(drawn)
    assert sorted(filter(None, data(whole))) == sorted(server.sent)


def test_the_budget_holds_with_many_requests_at_once(server: ImagesServer) -> None:
    server.each = picture(after=0.1)
    with pytest.raises(AssayError, match="7 of the 40 images"):
        opened(server, budget_usd=0.3, parallel=16).draw(requests(*range(40)))
    assert len(server.asked) == 7
    assert server.most_at_once > 1


def test_what_will_not_come_is_told_apart_from_what_is_there(server: ImagesServer) -> None:
    server.replies = [fault(400, "moderation_blocked"), picture(), hang_up]
    with pytest.raises(AssayError) as caught:
        opened(server, budget_usd=0.13).draw(requests(1, 2, 3, 4))
    assert "1 of the 4 images asked for are there and 1 will not come; $0.12 of $0.13" in str(caught.value)
    assert "($0.04 of it for 1 without an answer)" in str(caught.value)
    assert "budget_usd to 0.20 or more" in str(caught.value)


def test_another_option_is_another_image(server: ImagesServer) -> None:
    for changes in (
        {},
        {"quality": "hd"},
        {"extra": {"seed": 7}},
        {"extra": {"base_url": "x"}},
        {"retries": 1},
    ):
        opened(server, **changes).draw(requests(1))
    assert len(server.asked) == 4


def test_two_drawers_of_a_model_share_its_budget(server: ImagesServer) -> None:
    one, other = opened(server, budget_usd=0.12), opened(server, budget_usd=0.12)
    one.draw(requests(1, 2))
    with pytest.raises(AssayError, match="1 of the 2 images"):
        other.draw(requests(3, 4))
    assert len(server.asked) == 3


def test_a_refusal_may_cost_and_an_image_from_the_spool_does_not(server: ImagesServer) -> None:
    server.replies = [fault(400, "moderation_blocked")]
    opened(server).draw(requests(1, 2))
    drawer = opened(server, budget_usd=0)
    drawer.draw(requests(1, 2))
    assert drawer.spending.spent == Decimal("0.08")


def test_a_torn_line_of_the_list_of_charges_is_no_charge(workdir: Path) -> None:
    spending = Spending(workdir / "spent")
    charge = spending.reserve(Decimal("0.1"), Decimal("0.3"))
    assert charge is not None
    with spending.path.open("ab") as handle:
        handle.write(b'{"charge": "x", "us')
    spending.settle(charge, free=True)
    assert Spending(spending.path).spent == spending.spent == 0
    for _ in range(3):
        assert spending.reserve(Decimal("0.1"), Decimal("0.3"))
    assert spending.reserve(Decimal("0.1"), Decimal("0.3")) is None
    assert Spending(spending.path).spent == Decimal("0.3")


def test_an_estimate_needs_no_client() -> None:
    code = (
        "import sys; from models.generators.options import ApiOptions;"
        "options = ApiOptions(model='m', usd_per_image=0.04, budget_usd=1);"
        "print(options.estimate(162006), 'openai' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert said.split() == ["6480.24", "False"]


# --- kills


CHILD = """
import json, sys
from assets.params import Sampler
from models.generators import Request
from models.generators.api import ApiDrawer
from models.generators.options import ApiOptions
drawer = ApiDrawer("dalle", ApiOptions(**json.loads(sys.argv[1])), Sampler())
drawer.draw([Request(seed, f"photo of thing {seed}") for seed in range(1, 7)])
"""


def test_a_killed_process_loses_the_request_in_flight_and_pays_for_nothing_else_twice(
    server: ImagesServer, workdir: Path
) -> None:
    server.replies = [picture(), picture(), picture(), picture(after=30)]
    command = [sys.executable, "-c", CHILD, json.dumps(options(server))]
    child = subprocess.Popen(command, cwd=workdir, env={**os.environ, "PYTHONPATH": str(ROOT)})
    until = time.monotonic() + 60
    while len(server.asked) < 4 and time.monotonic() < until:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert len(server.asked) == 4
    drawer = opened(server)
    assert drawer.spending.unanswered == (1, Decimal("0.04"))
    drawn = drawer.draw(requests(*range(1, 7)))
    assert data(drawn) == server.sent
    assert [one["prompt"] for one in server.asked[4:]] == [f"photo of thing {seed}" for seed in (4, 5, 6)]
    assert drawer.spending.spent == Decimal("0.28")


def test_a_damaged_paid_image_is_not_quietly_paid_for_again(server: ImagesServer) -> None:
    opened(server).draw(requests(1))
    (image,) = Path(".assay/api").rglob("*.image")
    image.write_bytes(b"")
    with pytest.raises(
        AssayError, match=r"which was paid for, is gone or damaged: put it back, or delete .*\.json"
    ):
        opened(server).draw(requests(1))
    image.with_suffix(".json").unlink()
    (drawn,) = opened(server).draw(requests(1))
    assert drawn.data == server.sent[1]


def test_a_full_disk_is_said(server: ImagesServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    drawer = opened(server)
    monkeypatch.setattr(drawer.spool, "keep", full)
    with pytest.raises(AssayError, match=r"\.assay/api cannot be written: No space left on device"):
        drawer.draw(requests(1))


def test_what_fails_keeps_the_others_from_being_sent(server: ImagesServer) -> None:
    drawer, stop = opened(server), threading.Event()
    service = Service(drawer.options, "fit.dalle.options")
    asker = Asker(drawer.options, service, drawer.spool, drawer.spending, drawer.pace)
    server.each = fault(401)
    with pytest.raises(AssayError, match="answers 401"):
        asker.pay_for("aa", "photo", {}, stop)
    asker.pay_for("bb", "photo", {}, stop)
    assert len(server.asked) == 1


# --- pace and order


def test_parallel_requests_keep_their_order(server: ImagesServer) -> None:
    all_here = threading.Barrier(3, timeout=60)

    def backwards(handler: Any) -> None:
        all_here.wait()
        picture(after=0.1 * (3 - int(handler.body["prompt"][-1])))(handler)

    server.each = backwards
    drawn = opened(server, parallel=3).draw(requests(1, 2, 3))
    assert data(drawn) == [server.made[request.prompt or ""] for request in requests(1, 2, 3)]
    assert data(drawn) != server.sent


def test_requests_are_spaced_and_hold_for_all_who_share_the_file(workdir: Path) -> None:
    now = [1000.0]
    one, other = (Pace(workdir / "pace", 30, lambda: now[0]) for _ in range(2))
    assert [one.turn(), other.turn(), one.turn()] == [0, 2, 4]
    now[0] += 100
    assert [one.turn(), other.turn()] == [0, 2]
    other.hold(60)
    assert [one.turn(), one.turn()] == [60, 62]
    now[0] -= 2 * MOST + AHEAD * 2  # the clock was set back
    assert one.turn() == 0
    unlimited = Pace(workdir / "other", None, lambda: now[0])
    assert [unlimited.turn() for _ in range(3)] == [0, 0, 0]


def test_the_drawer_keeps_the_pace(server: ImagesServer) -> None:
    opened(server, per_minute=6).draw(requests(1, 2, 3))
    assert [round(seconds / 10) for seconds in waits()] == [1, 2]


# --- what is refused before anything is sent


def test_no_key_no_request(server: ImagesServer, monkeypatch: pytest.MonkeyPatch) -> None:
    drawer = opened(server, key="MY_KEY")
    with pytest.raises(
        AssayError, match=r"fit\.dalle\.options\.key: the environment variable MY_KEY is not set"
    ):
        drawer.draw(requests(1))
    monkeypatch.setenv("MY_KEY", f"{KEY}\nmore")
    with pytest.raises(AssayError, match="MY_KEY holds a space, a line break") as caught:
        drawer.draw(requests(1))
    assert KEY not in str(caught.value)
    monkeypatch.setenv("MY_KEY", f"{KEY}\n")
    drawer.draw(requests(1))
    assert server.keys == [f"Bearer {KEY}"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 20}, "sampler.steps: a service does not take it"),
        ({"scheduler": "DDIMScheduler"}, "sampler.scheduler"),
        ({"height": 512}, r"sampler.height: .* fit.dalle.options"),
        ({"dtype": "float16"}, "sampler.dtype: float16"),
    ],
)
def test_sampler_settings_that_no_service_takes(server: ImagesServer, changes: Any, said: str) -> None:
    with pytest.raises(AssayError, match=said):
        ApiDrawer("dalle", ApiOptions(**options(server)), Sampler(**changes))


def test_requests_that_no_service_takes(server: ImagesServer) -> None:
    with pytest.raises(AssayError, match="dall-e-3 draws from text"):
        opened(server).draw([Request(1)])
    with pytest.raises(AssayError, match="no negative prompt"):
        opened(server).draw([Request(1, "photo", negative_prompt="blur")])
    assert not server.asked


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": KEY}, "fit (api): key: is the NAME of an environment variable"),
        ({"base_url": f"https://me:{KEY}@host/v1"}, "base_url: must hold no user, password"),
        ({"base_url": f"https://host/v1?key={KEY}"}, "base_url: must hold no user, password"),
        ({"base_url": "http://example.com/v1"}, "base_url: must be https"),
        ({"base_url": "api.openai.com"}, "base_url: must be the URL of a service"),
        ({"base_url": "https://host:x/v1"}, "base_url: "),
        ({"dimensions": "1024"}, "dimensions is '1024'"),
        ({"budget_usd": float("inf")}, "budget_usd is inf"),
        ({"usd_per_image": None}, "usd_per_image is None"),
        ({"extra": {"size": "1x1"}}, "extra: size cannot be set here"),
        ({"pararllel": 2}, "did you mean 'parallel'?"),
    ],
)
def test_options_that_cannot_be(server: ImagesServer, changes: Any, said: str) -> None:
    with pytest.raises(AssayError) as caught:
        opened(server, **changes)
    assert said in str(caught.value)
    assert KEY not in shown(caught.value)


@pytest.mark.parametrize("missing", ["usd_per_image", "budget_usd", "model"])
def test_price_and_budget_have_no_default(server: ImagesServer, missing: str) -> None:
    given = options(server)
    del given[missing]
    with pytest.raises(AssayError, match=f"{missing} is missing"):
        checked_options(ApiOptions, given, "fit (api)")


def test_servers_nearby_may_do_without_https() -> None:
    for near in ("localhost:8000", "127.0.0.1", "192.168.1.5:80", "gpubox", "gpubox.local", "[::1]:1"):
        assert ApiOptions(model="m", usd_per_image=0, budget_usd=0, base_url=f"http://{near}/v1")


def test_without_the_client_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.delitem(sys.modules, "models.generators.api")
    monkeypatch.delitem(sys.modules, "models.generators.service.asking")
    monkeypatch.delitem(sys.modules, "models.generators.service.client")
    with pytest.raises(AssayError, match=r"pip install -e '\.\[api\]'"):
        importlib.import_module("models.generators.api")


# --- the stage


def test_the_stage_keeps_the_bytes_and_counts_refusals(server: ImagesServer, workdir: Path) -> None:
    own = options(server, budget_usd=0.16, parallel=1)
    settings = params(
        fit={"dalle": {"kind": "api", "options": own}},
        generators={
            "dalle": {
                "from": "artifacts/fit/dalle",
                "family": "proprietary",
                "released": "2023-10",
                "count": 4,
                "prompts": {"of": "imagenet", "classes": [0, 2]},
                "sampler": {"batch": 2},
            }
        },
        train={"generators": ["dalle"], "sets": {}, "samples": {}, "seeds": [0]},
    )
    fit_stage(workdir, settings, "dalle")
    server.replies = [picture(revised_prompt="A tench"), fault(400, "moderation_blocked")]
    generate(workdir, settings, "dalle")
    first = ImageSet(workdir / "artifacts/generate/dalle")
    assert list(first.rows["reason"].fillna("")) == ["", "refused: moderation_blocked", "", ""]
    assert [data for _, data in first.stream()] == server.sent
    records = [json.loads(record) for record in first.rows["record"]]
    assert records[0]["revised_prompt"] == "A tench"
    assert records[0]["model_id"] == "dall-e-3"
    assert records[0]["repeatable"] is False
    prompts = list(first.rows["prompt"])
    assert [one["prompt"] for one in server.asked] == prompts
    assert all(prompt.startswith("photo of ") for prompt in prompts)
    generate(workdir, settings, "dalle")  # anew, on a budget that allows no further request
    assert ImageSet(workdir / "artifacts/generate/dalle").rows.equals(first.rows)
    assert len(server.asked) == 4


# --- the key


def everything_in(folder: Path) -> str:
    return "\n".join(
        f"{path} {path.read_bytes().decode('latin-1')}" for path in folder.rglob("*") if path.is_file()
    )


def shown(error: BaseException) -> str:
    """All that any printer of exceptions could show."""
    text, todo = [], [error]
    while todo:
        one = todo.pop()
        text += [str(one), repr(one), repr(vars(one)), *traceback.format_exception(one)]
        todo += [inner for inner in (one.__cause__, one.__context__) if inner is not None]
    return "\n".join(text)


@pytest.mark.parametrize("key", [KEY, "0123456789abcdef.of-another-form"])
def test_the_key_is_nowhere(
    server: ImagesServer,
    workdir: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    key: str,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    caplog.set_level(logging.DEBUG)
    fit("api", np.empty((0, 1, 1, 3), np.uint8), workdir / "dalle", options(server, retries=1), 1, "cpu")
    drawer = open_model(workdir / "dalle", Sampler(), "cpu")
    server.replies = [
        picture(revised_prompt=f"echo {key}"),
        link("http://{host}/files/1.png?key=" + key),
        fault(400, "content_policy_violation", f"{key} asked for this"),
        hang_up,
        fault(401, None, f"Incorrect API key provided: {key}. Yours begins with {KEY[:12]}****"),
    ]
    with pytest.raises(AssayError) as caught:
        drawer.draw(requests(1, 2, 3, 4))
    server.replies = [link("http://{host}/files/2.png?key=" + key, gone)]
    with pytest.raises(AssayError, match="the image's link answers 404") as caught_too:
        drawer.draw(requests(5))
    assert server.keys[0] == f"Bearer {key}"
    captured = capfd.readouterr()
    for text in (
        everything_in(workdir), shown(caught.value), shown(caught_too.value), caplog.text, captured.out,
        captured.err, json.dumps(drawer.record), repr(drawer), repr(vars(drawer)),
    ):  # fmt: skip
        assert key not in text
        assert key[:12] not in text
    assert "Incorrect API key provided: ***. Yours begins with ***" in str(caught.value)
    assert (workdir / ".assay/api").is_dir()
    assert caplog.text
