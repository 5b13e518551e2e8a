"""The sample application answers what its load expects, with OpenTelemetry's API alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from webtest import TestApp
from webtest.http import StopableWSGIServer

from otelc2c.demo import database
from otelc2c.demo.app import make_application
from otelc2c.demo.load import CACHED, ROUND, Step
from otelc2c.demo.views import MOST_LINES
from tests.services.redis_server import RedisServer, free_port


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestApp]:
    """The application, which finds itself at an address where it is served."""
    book = tmp_path_factory.mktemp("demo") / "book"
    database.make(book)
    served = make_application("http://numbers.test/metrics", database=str(book))
    server = StopableWSGIServer.create(served, host="127.0.0.1")
    yield TestApp(served, {"SERVER_NAME": "127.0.0.1", "SERVER_PORT": str(server.effective_port)})
    server.shutdown()
    served.registry.settings["demo.book"].dispose()


@pytest.mark.parametrize(
    "step", [s for s in ROUND if s.status != 500], ids=lambda s: f"{s.key.method} {s.path}"
)
def test_every_request_of_the_load_has_the_status_it_expects(application: TestApp, step: Step) -> None:
    asked = {"GET": application.get, "POST": application.post}[step.key.method]
    assert asked(step.path, status=step.status).body


def test_a_crash_reaches_the_server(application: TestApp) -> None:
    with pytest.raises(RuntimeError, match="nobody catches this"):
        application.get("/crash")


def test_the_home_page_links_to_every_route_and_to_the_numbers(application: TestApp) -> None:
    home = application.get("/")
    links = {link["href"] for link in home.html.find_all("a")}
    assert links >= {"/hello/you", "/shelf", "/slow", "/fail", "/crash", "/stream", "/prices", "/cache"}
    assert links >= {"/orders/late", "/orders/joined", "/supplier"}
    assert "http://numbers.test/metrics" in links
    for sheet in home.html.find_all("link", rel="stylesheet"):
        answer = application.get(sheet["href"])
        assert (answer.content_type, "--leaf" in answer.text) == ("text/css", True)


def test_the_form_of_the_home_page_orders(application: TestApp) -> None:
    form = application.get("/").forms[0]
    form["tea"] = "Sencha"
    form["cups"] = "3"
    assert form.submit().json == {"tea": "Sencha", "cups": 3, "cents": 3360}


def test_names_are_decoded(application: TestApp) -> None:
    assert application.get("/hello/J%C3%BCrg").json == {"hello": "Jürg"}


@pytest.mark.parametrize("path", ["/slow?ms=soon", "/stream?lines=1.5"])
def test_a_parameter_that_is_no_number_is_refused(application: TestApp, path: str) -> None:
    application.get(path, status=400)


def test_without_a_redis_the_cache_says_so(application: TestApp) -> None:
    assert "There is no Redis" in application.get("/cache").text


@pytest.mark.services
def test_visits_are_counted_in_redis(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        application = TestApp(make_application(redis_url=f"redis://127.0.0.1:{server.port}/0"))
        assert [application.get("/cache", status=CACHED[0].status).json for _ in range(2)] == [
            {"visits": 1, "cheapest": "Assam"},
            {"visits": 2, "cheapest": "Assam"},
        ]


def test_a_redis_that_is_away_is_answered() -> None:
    away = TestApp(make_application(redis_url=f"redis://127.0.0.1:{free_port()}/0"))
    assert "the cache does not answer" in away.get("/cache", status=503).text


def test_an_unknown_tea_is_refused(application: TestApp) -> None:
    application.post("/orders?tea=coffee", status=400)


def test_what_one_request_may_cost_is_bounded(application: TestApp) -> None:
    assert application.get("/stream?lines=100000").text.count("\n") == MOST_LINES
    assert application.get("/slow?ms=-5").json == {"waited_ms": 0}


def test_both_pages_of_orders_show_the_same(application: TestApp) -> None:
    late, joined = (application.get(f"/orders/{way}").html.table for way in ("late", "joined"))
    assert late == joined
    assert len(late.tbody.find_all("tr")) == database.SHOWN
    assert [cell.text for cell in late.tbody.find_all("td")[:4]] == [
        "1",
        "Assam",
        "Brahmaputra Leaf",
        "Jorhat",
    ]


def test_an_order_is_taken_from_what_the_supplier_has(application: TestApp) -> None:
    before = application.get("/supplier?tea=Uva").json
    assert before == {"tea": "Uva", "supplier": "High Grown", "cups": before["cups"]}
    application.post("/orders?tea=Uva&cups=7", status=201)
    assert application.get("/supplier?tea=Uva").json["cups"] == before["cups"] - 7


def test_a_supplier_that_is_away_is_answered(application: TestApp) -> None:
    nobody = {"SERVER_PORT": str(free_port())}
    assert (
        "the supplier does not answer" in application.get("/supplier", extra_environ=nobody, status=503).text
    )


def test_the_supplier_is_asked_at_this_service_whatever_host_a_caller_names(application: TestApp) -> None:
    application.get("/supplier", headers={"Host": "elsewhere.test:1"}, status=200)


def test_without_an_order_book_no_order_is_taken() -> None:
    without = TestApp(make_application())
    for answer in (without.get("/orders/late", status=503), without.post("/orders", status=503)):
        assert "there is no order book" in answer.text
