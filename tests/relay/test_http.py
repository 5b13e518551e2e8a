"""The connection to a receiver: what each answer means, and that nothing takes longer than it may."""

import gzip
import resource
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otelc2c.relay.http import Acknowledged, Backoff, HttpSender, Outcome, Rejected, Retry
from tests.sink import Sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A receiver that takes everything."""
    with Sink() as running:
        yield running


def sending(sink: Sink, body: bytes = b"", **options: object) -> Outcome:
    """One attempt on a connection of its own."""
    sender = HttpSender(sink.traces, **options)  # type: ignore[arg-type]
    try:
        return sender.send(body, time.monotonic() + 5)
    finally:
        sender.close()


def test_a_body_that_is_taken_is_acknowledged(sink: Sink) -> None:
    """The bytes arrive as they are, under the OTLP content type."""
    assert sending(sink, b"\x0a\x00") == Acknowledged()
    assert sink.received()[0].body == b"\x0a\x00"
    assert sink.received()[0].headers["content-type"] == "application/x-protobuf"


def test_one_connection_serves_many_requests(sink: Sink) -> None:
    """The connection is kept open."""
    sender = HttpSender(sink.traces)
    for _ in range(5):
        assert sender.send(b"") == Acknowledged()
    sender.close()
    assert (len(sink.received()), sink.connections) == (5, 1)


def test_a_connection_that_the_receiver_closed_is_made_again(sink: Sink) -> None:
    """A receiver that ends each connection without a word loses nothing."""
    sink.become("closing")
    sender = HttpSender(sink.traces)
    assert [sender.send(b"") for _ in range(4)] == [Acknowledged()] * 4
    sender.close()
    assert sink.connections == 4


def test_a_restarted_receiver_is_found_again() -> None:
    """The kept connection of an ended receiver does not fail the next request."""
    with Sink() as first:
        sender = HttpSender(first.traces)
        assert sender.send(b"") == Acknowledged()
        port = first.port
    assert isinstance(sender.send(b""), Retry)
    with Sink(port=port) as second:
        assert sender.send(b"") == Acknowledged()
        sender.close()
        assert len(second.received()) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_statuses_that_pass_are_retried(sink: Sink, status: int) -> None:
    """OTLP/HTTP: these four are retryable."""
    sink.become("healthy", status=status)
    assert sending(sink) == Retry(str(status))


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 408, 413, 500, 501])
def test_other_statuses_are_final(sink: Sink, status: int) -> None:
    """OTLP/HTTP: all other statuses must not be retried; redirects are not followed."""
    sink.become("healthy", status=status, headers={"Location": sink.address + "/v1/metrics"})
    assert sending(sink) == Rejected(str(status))
    assert len(sink.seen) == 1


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0", 0.0), ("-1", None), ("soon", None), ("99999", 300.0)]
)
def test_the_pause_that_a_receiver_asks_for_is_passed_on(
    sink: Sink, header: str, seconds: float | None
) -> None:
    """Retry-After in seconds, bounded by five minutes."""
    sink.become("refusing", headers={"Retry-After": header})
    assert sending(sink) == Retry("503", seconds)


def test_a_pause_until_a_date_is_understood(sink: Sink) -> None:
    """Retry-After may be a date (RFC 9110, 10.2.3)."""
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 60))
    sink.become("refusing", headers={"Retry-After": date})
    outcome = sending(sink)
    assert isinstance(outcome, Retry)
    assert outcome.after is not None
    assert 55 < outcome.after <= 60


def test_nobody_listening_is_retried() -> None:
    """A refused connection may be a receiver that starts up."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        outcome = HttpSender(f"http://127.0.0.1:{unused.getsockname()[1]}/v1/traces").send(b"")
    assert outcome == Retry("ConnectionRefusedError")


def test_a_frozen_receiver_costs_the_time_limit_and_no_more(sink: Sink) -> None:
    """F-21: connections are accepted and never served."""
    sink.become("frozen")
    begun = time.monotonic()
    assert HttpSender(sink.traces, timeout=0.2).send(b"x") == Retry("timeout")
    assert time.monotonic() - begun < 1


def test_a_deadline_is_shorter_than_the_time_limit(sink: Sink) -> None:
    """The end of the relay is bounded whatever the receiver does."""
    sink.become("frozen")
    begun = time.monotonic()
    assert HttpSender(sink.traces, timeout=30).send(b"x", time.monotonic() + 0.2) == Retry("timeout")
    assert HttpSender(sink.traces, timeout=30).send(b"x", time.monotonic() - 1) == Retry("timeout")
    assert time.monotonic() - begun < 1


def test_an_answer_that_drips_is_bounded_as_a_whole() -> None:
    """Each byte comes in time, and all of them together do not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                while not stop.wait(0.05):
                    try:
                        connection.send(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        begun = time.monotonic()
        sender = HttpSender(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout=0.3)
        assert sender.send(b"x") == Retry("timeout")
        assert time.monotonic() - begun < 1
        stop.set()
        thread.join()


def test_a_name_that_takes_long_to_resolve_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver has no time limit of its own; one question at a time is asked."""
    answer = threading.Event()
    asked = []

    def slow(*_: object, **__: object) -> list[object]:
        asked.append(1)
        answer.wait(5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    sender = HttpSender("http://collector.test/", timeout=0.1)
    assert sender.send(b"x") == Retry("timeout")
    assert sender.send(b"x") == Retry("timeout")
    assert len(asked) == 1
    answer.set()


def test_the_name_is_resolved_again_at_each_connection(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that moved to another address is found."""
    asked = []

    def resolve(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    sender = HttpSender(f"http://collector.test:{sink.port}/v1/traces")
    sink.become("closing")
    assert [sender.send(b""), sender.send(b"")] == [Acknowledged(), Acknowledged()]
    sender.close()
    assert asked == ["collector.test"] * 2


def test_a_second_address_is_tried(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` is often two addresses, and receivers listen on one of them."""
    addresses = [("127.0.0.1", 1), ("127.0.0.1", sink.port)]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    sender = HttpSender(f"http://collector.test:{sink.port}/v1/traces")
    assert sender.send(b"") == Acknowledged()
    sender.close()


def test_an_answer_without_end_is_read_in_part_only(sink: Sink) -> None:
    """F-27, T29: an answer of 1 GiB costs neither memory nor time."""
    sink.become("huge")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sending(sink, b"") == Acknowledged()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10 * 1024


def test_gzip_is_sent_where_it_is_asked_for(sink: Sink) -> None:
    """OTEL_EXPORTER_OTLP_COMPRESSION=gzip."""
    body = b"span" * 1000
    assert sending(sink, body, compression="gzip") == Acknowledged()
    received = sink.received()[0]
    assert received.body == body
    assert received.headers["content-encoding"] == "gzip"
    assert int(received.headers["content-length"]) < len(gzip.compress(body)) + 100


def test_headers_of_the_operator_win(sink: Sink) -> None:
    """OTEL_EXPORTER_OTLP_HEADERS, and a password in the URL."""
    url = f"http://us%65r:p%40ss@127.0.0.1:{sink.port}/v1/traces?key=1"
    sender = HttpSender(url, {"X-Key": "k", "user-agent": "mine"})
    assert sender.send(b"") == Acknowledged()
    sender.close()
    received = sink.received()[0]
    assert received.headers["x-key"] == "k"
    assert received.headers["user-agent"] == "mine"
    assert received.headers["authorization"] == "Basic dXNlcjpwQHNz"
    assert received.path == "/v1/traces?key=1"


def test_no_secret_can_be_printed() -> None:
    """Passwords, queries and header values are in no text about the sender."""
    sender = HttpSender("https://user:secret@host:4318/v1/traces?key=secret", {"x-key": "secret"})
    assert "secret" not in repr(sender)
    assert sender.address == "https://host:4318/v1/traces"


@pytest.mark.parametrize("endpoint", ["collector:4317", "ftp://host/", "http:///v1/traces"])
def test_an_endpoint_without_host_is_refused(endpoint: str) -> None:
    """Nothing could ever be sent."""
    with pytest.raises(ValueError, match="endpoint"):
        HttpSender(endpoint)


def certificates(folder: Path) -> tuple[Path, Path]:
    """A key and a certificate of its own for 127.0.0.1."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    subprocess.run(
        [
            *command.split(),
            *("-subj", "/CN=sink", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return key, certificate


@pytest.mark.parametrize("headers", [{"a": "b\r\nc: d"}, {"a\nb": "c"}, {"a": "\0"}])
def test_a_header_that_would_end_its_line_is_refused(headers: dict[str, str]) -> None:
    """Values are percent-decoded, so that anything may stand in them."""
    with pytest.raises(ValueError, match="line break"):
        HttpSender("http://here/", headers)


def test_a_path_arrives_as_it_was_named(sink: Sink) -> None:
    """And what no request line can hold is percent-encoded."""
    sender = HttpSender(sink.address + "/v1/tr%C3%A4ces/sp ace?key=a b")
    sender.send(b"")
    sender.close()
    assert sink.received()[0].path == "/v1/tr%C3%A4ces/sp%20ace?key=a%20b"
    assert sink.received()[0].headers["host"] == sink.address.removeprefix("http://")


def test_tls_verifies_the_receiver_and_shows_a_certificate(tmp_path: Path) -> None:
    """OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY."""
    key, certificate = certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    with Sink(tls=context) as sink:
        ours = {"client_certificate": str(certificate), "client_key": str(key)}
        assert sending(sink, b"", certificate=str(certificate), **ours) == Acknowledged()
        assert sending(sink, b"", **ours) == Retry("SSLCertVerificationError")
        assert sending(sink, b"", certificate=str(tmp_path / "absent")) == Retry("FileNotFoundError")


def test_pauses_double_and_are_bounded() -> None:
    """F-20: a receiver that comes back is found within ten seconds."""
    longest = Backoff(lambda: 1.0)
    assert [longest.pause() for _ in range(6)] == [1, 2, 4, 8, 8, 8]
    longest.reset()
    assert longest.pause() == 1
    shortest = Backoff(lambda: 0.0)
    assert [shortest.pause() for _ in range(5)] == [0.5, 1, 2, 4, 4]
    assert shortest.pause(60) == 60
