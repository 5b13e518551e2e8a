import io
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from otelc2c.demo import load
from otelc2c.demo.server import NotServed
from otelc2c.demo.table import DURATION, NO_ROUTE, Key
from otelc2c.scripts import demo
from otelc2c.scripts.demo import Progress, differences


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_that_fills() -> None:
    out = Terminal()
    progress = Progress(4, out)
    progress(1)
    progress(4)
    progress.end()
    *_, quarter, full = out.getvalue().split("\r")
    assert quarter == f"[{'#' * 10}{'.' * 30}] 1/4 requests"
    assert full == f"[{'#' * 40}] 4/4 requests\n"


def test_anything_else_gets_one_line() -> None:
    out = io.StringIO()
    progress = Progress(4, out)
    for done in range(1, 5):
        progress(done)
    progress.end()
    assert out.getvalue().startswith("4 requests sent in ")
    assert out.getvalue().count("\n") == 1


def test_what_the_page_counts_otherwise_is_told_by_route() -> None:
    sent = {Key("GET", "/a"): 3, Key("GET", "/b"): 2}
    assert differences(sent, sent) == []
    assert differences(sent, {Key("GET", "/a"): 4, Key("GET", "/c"): 1}) == [
        "GET /a: 3 sent, but the page counts 4",
        "GET /b: 2 sent, but the page counts 0",
        "GET /c: 0 sent, but the page counts 1",
    ]


class Service:
    """Stands for the server: nothing is started, and its page is a file."""

    url = "http://127.0.0.1:1/"
    port = 1

    def __init__(self, page: Path) -> None:
        self.metrics_url = page.as_uri()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        pass

    def printed(self) -> str:
        return "otelc2c: a line of its own\nanother line\n"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page of a service that answered three requests for `/a`."""
    path = tmp_path / "page"
    sent = load.Sent(Counter({Key("GET", "/a"): 2}), Counter({Key("GET", "/a"): 1}), [])
    monkeypatch.setattr(demo, "Server", lambda port, metrics_port, environ: Service(path))
    monkeypatch.setattr(demo, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(demo.load, "send", lambda *arguments: sent)
    monkeypatch.setattr(demo.signal, "signal", lambda *arguments: None)
    path.write_text(f'{DURATION}_count{{http_request_method="GET",http_route="/a"}} 3\n')
    return path


def test_a_page_that_counts_right_is_a_success(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.demo(["--once"], {}) == 0
    printed = capsys.readouterr().out
    assert "otelc2c: a line of its own" in printed
    assert "another line" not in printed
    said = "The page counts exactly the 400 requests that were sent and the 1 that the service sent to itself"
    assert said in printed


def test_the_cache_is_a_part_of_the_load_where_there_is_one(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.demo(["--once"], {"REDIS_URL": "redis://127.0.0.1:1/0"}) == 0
    assert "The page counts exactly the 460 requests" in capsys.readouterr().out


def test_a_page_that_counts_wrong_is_a_failure(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page.write_text(f'{DURATION}_count{{http_request_method="GET",http_route="/a"}} 2\n')
    assert demo.demo(["--once"], {}) == 1
    assert "GET /a: 3 sent, but the page counts 2" in capsys.readouterr().err


def test_a_wrong_answer_is_a_failure(
    page: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = load.Sent(Counter({Key("GET", "/a"): 3}), Counter(), ["GET /a: 500, not 200"])
    monkeypatch.setattr(demo.load, "send", lambda *arguments: sent)
    assert demo.demo(["--once"], {}) == 1
    assert "GET /a: 500, not 200" in capsys.readouterr().err


def test_a_page_that_is_gone_is_a_failure(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page.unlink()
    assert demo.demo(["--once"], {}) == 1
    assert "does not answer" in capsys.readouterr().err


def test_a_service_that_does_not_start_is_a_failure(
    page: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise NotServed("gunicorn ended")

    monkeypatch.setattr(demo, "Server", refuse)
    assert demo.demo(["--once"], {}) == 1
    assert capsys.readouterr().err == "otelc2c demo: gunicorn ended\n"


@pytest.mark.process
def test_the_live_page_counts_every_request_of_the_load() -> None:
    """Three workers, every route: what was sent is what the page says."""
    ran = subprocess.run(
        [sys.executable, "-m", "otelc2c.scripts.main", "demo", "--once"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    lines = {
        f"{words[0]} {words[1]}": words[2:]
        for words in map(str.split, ran.stdout.replace(NO_ROUTE, "(none)").splitlines())
        if words[5:6] == ["ms"]
    }
    expected: Counter[str] = Counter()
    for step in load.ROUND:
        for key in filter(None, (step.key, step.causes)):
            expected[f"{key.method} {key.route.replace(NO_ROUTE, '(none)')}"] += demo.ROUNDS * step.times
    assert {name: int(words[0]) for name, words in lines.items()} == expected
    assert {name for name, words in lines.items() if words[1] != "0"} == {"GET /fail", "GET /crash"}
    assert lines["GET /supplier"][-4:-2] == ["1", "in"]
    assert lines["GET /orders/late"][-4:-2] == ["33", "in"]
    assert lines["GET /orders/joined"][-4:-2] == ["1", "in"]
    assert lines["POST /orders"][-4:-2] == ["2", "in"], "INSERT and COMMIT"
    assert len(lines["GET /shelf"]) == 6
    own = "The page counts exactly the 400 requests that were sent and the 30 that the service sent to itself"
    assert own in ran.stdout
