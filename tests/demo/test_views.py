"""The sample application answers what its load expects, with OpenTelemetry's API alone."""

import pytest
from webtest import TestApp

from otelc2c.demo.app import make_application
from otelc2c.demo.load import ROUND, Step
from otelc2c.demo.views import MOST_LINES


@pytest.fixture(scope="module")
def application() -> TestApp:
    return TestApp(make_application("http://numbers.test/metrics"))


@pytest.mark.parametrize(
    "step", [s for s in ROUND if s.status != 500], ids=lambda s: f"{s.key.method} {s.path}"
)
def test_every_request_of_the_load_has_the_status_it_expects(application: TestApp, step: Step) -> None:
    assert application.request(step.path, method=step.key.method, status=step.status).body


def test_a_crash_reaches_the_server(application: TestApp) -> None:
    with pytest.raises(RuntimeError, match="nobody catches this"):
        application.get("/crash")


def test_the_home_page_links_to_every_route_and_to_the_numbers(application: TestApp) -> None:
    home = application.get("/")
    links = {link["href"] for link in home.html.find_all("a")}
    assert links >= {"/hello/you", "/shelf", "/slow", "/fail", "/crash", "/stream", "/orders"}
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


def test_an_unknown_tea_is_refused(application: TestApp) -> None:
    application.post("/orders?tea=coffee", status=400)


def test_what_one_request_may_cost_is_bounded(application: TestApp) -> None:
    assert application.get("/stream?lines=100000").text.count("\n") == MOST_LINES
    assert application.get("/slow?ms=-5").json == {"waited_ms": 0}
