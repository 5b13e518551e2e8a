import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from otelc2c.demo.page import NoPage, Sample, read, scrape

TEXT = """\
# HELP a_total What it is.
# TYPE a_total counter
a_total{route="/x\\\\y",name="say \\"hi\\"\\nthere, {you}"} 3
b 1.5e+02 1700000000000
c_bucket{le="+Inf"} 2
d NaN
"""


def test_names_labels_and_values_are_read() -> None:
    *most, last = read(TEXT)
    assert most == [
        Sample("a_total", {"route": "/x\\y", "name": 'say "hi"\nthere, {you}'}, 3.0),
        Sample("b", {}, 150.0),
        Sample("c_bucket", {"le": "+Inf"}, 2.0),
    ]
    assert last.name == "d"
    assert math.isnan(last.value)


def test_a_line_of_another_format_is_refused_with_its_text() -> None:
    with pytest.raises(NoPage, match=r"cannot be read: 'a\{'"):
        list(read("a{\n"))


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/metrics" else 503)
        self.end_headers()
        self.wfile.write(b"up 1\n")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_page_is_fetched(address: str) -> None:
    assert scrape(f"{address}/metrics") == [Sample("up", {}, 1.0)]


def test_a_page_that_is_refused_or_absent_is_told_with_its_address(address: str) -> None:
    with pytest.raises(NoPage, match=f"{address}/other does not answer: HTTP Error 503"):
        scrape(f"{address}/other")
    with pytest.raises(NoPage, match="does not answer"):
        scrape("http://127.0.0.1:1/metrics")
