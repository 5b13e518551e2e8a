"""What the SDK's MeterProvider promises, on ours and on the SDK's own: the same tests.

Where we differ on purpose a test of ours alone says so, in test_meter.py.
"""

import logging
import math
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import metrics as api
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.view import (
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    LastValueAggregation,
    SumAggregation,
    View,
)
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
    use_span,
)

from tests.record.metrics_contract import Histogram, Make, Ours, OursRead, Sdk, Subject, key

SUBJECTS = {subject.name: subject for subject in (Ours, OursRead, Sdk)}


@pytest.fixture(params=SUBJECTS)
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes the provider under test; it is shut down at the end."""
    made: list[Any] = []

    def build(**arguments: Any) -> Subject:
        made.append(SUBJECTS[request.param](**arguments))
        subject: Subject = made[-1]
        return subject

    yield build
    for subject in made:
        subject.provider.shutdown()


@pytest.fixture
def subject(make: Make) -> Subject:
    """A provider without views."""
    return make()


@pytest.fixture
def meter(subject: Subject) -> api.Meter:
    """A meter of that provider."""
    return subject.provider.get_meter("m", "1.0", "https://schema.test", {"team": "a"})


def sampled(number: int = 7, *, flag: bool = True) -> NonRecordingSpan:
    """A span that somebody else made."""
    flags = TraceFlags(TraceFlags.SAMPLED if flag else TraceFlags.DEFAULT)
    return NonRecordingSpan(SpanContext(number, number + 1, False, flags))


class TestSynchronous:
    """Instruments that are called."""

    def test_a_counter_adds_whole_numbers_and_fractions(self, subject: Subject, meter: api.Meter) -> None:
        """Whole numbers stay whole."""
        counter = meter.create_counter("c", "By", "Bytes.")
        counter.add(1, {"a": "x"})
        counter.add(2, {"a": "x"})
        counter.add(0.5, {"a": "y"})
        counter.add(3)
        stream = subject.collect()["c"]
        assert (stream.shape, stream.monotonic, stream.unit, stream.description) == (
            "sum",
            True,
            "By",
            "Bytes.",
        )
        assert stream.points == {key(a="x"): 3, key(a="y"): 0.5, (): 3}
        assert type(stream.points[key(a="x")]) is int

    def test_scopes_keep_name_version_schema_and_attributes(self, subject: Subject, meter: api.Meter) -> None:
        """Whoever reads the number knows who made it."""
        meter.create_counter("c").add(1)
        assert subject.collect()["c"].scope == ("m", "1.0", "https://schema.test", key(team="a"))

    def test_an_up_down_counter_goes_both_ways(self, subject: Subject, meter: api.Meter) -> None:
        """And is not monotonic."""
        counter = meter.create_up_down_counter("u")
        counter.add(5)
        counter.add(-7)
        stream = subject.collect()["u"]
        assert (stream.shape, stream.monotonic, stream.points) == ("sum", False, {(): -2})

    def test_a_gauge_keeps_the_last_value(self, subject: Subject, meter: api.Meter) -> None:
        """Of either type."""
        gauge = meter.create_gauge("g")
        gauge.set(5, {"a": 1})
        gauge.set(2.5, {"a": 1})
        gauge.set(-4, {"a": 2})
        stream = subject.collect()["g"]
        assert (stream.shape, stream.points) == ("gauge", {key(a=1): 2.5, key(a=2): -4})

    def test_a_histogram_without_boundaries_has_the_default_ones(
        self, subject: Subject, meter: api.Meter
    ) -> None:
        """A value on a boundary belongs below it."""
        histogram = meter.create_histogram("h", "ms")
        for value in (0, 5, 5.1, 10_001):
            histogram.record(value)
        bounds = (
            0.0,
            5.0,
            10.0,
            25.0,
            50.0,
            75.0,
            100.0,
            250.0,
            500.0,
            750.0,
            1000.0,
            2500.0,
            5000.0,
            7500.0,
            10000.0,
        )
        counts = (1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
        assert subject.collect()["h"].points == {(): Histogram(counts, bounds, 10_011.1, 0, 10_001)}

    def test_advised_boundaries_are_used(self, subject: Subject, meter: api.Meter) -> None:
        """As the library that measures wants them."""
        histogram = meter.create_histogram("h", explicit_bucket_boundaries_advisory=[1, 2.5])
        histogram.record(2)
        assert subject.collect()["h"].points == {(): Histogram((0, 1, 0), (1.0, 2.5), 2, 2, 2)}

    def test_boundaries_that_are_no_numbers_are_left_out(
        self, subject: Subject, meter: api.Meter, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With a warning."""
        for number, wrong in enumerate((["a"], 5, {"a": 1})):
            meter.create_histogram(f"h{number}", explicit_bucket_boundaries_advisory=wrong).record(1)  # type: ignore[arg-type]
        assert [record.message for record in caplog.records] == [
            "explicit_bucket_boundaries_advisory must be a sequence of numbers"
        ] * 3
        assert len(subject.collect()["h0"].points[()].bounds) == 15

    @pytest.mark.parametrize("amount", [math.inf, -math.inf, math.nan])
    def test_what_is_not_finite_is_ignored_with_a_warning(
        self, subject: Subject, meter: api.Meter, amount: float, caplog: pytest.LogCaptureFixture
    ) -> None:
        """And makes no series."""
        meter.create_counter("c").add(amount)
        meter.create_up_down_counter("u").add(amount)
        meter.create_histogram("h").record(amount)
        meter.create_gauge("g").set(amount)
        assert [record.levelname for record in caplog.records] == ["WARNING"] * 4
        assert f"Record amount {amount} is not finite on Histogram h, ignoring measurement." in caplog.text
        assert subject.collect() == {}

    def test_negative_amounts_of_counters_and_histograms_are_ignored(
        self, subject: Subject, meter: api.Meter, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With the SDK's words."""
        counter = meter.create_counter("c")
        counter.add(1)
        counter.add(-1)
        meter.create_histogram("h").record(-0.1)
        assert [record.message for record in caplog.records] == [
            "Add amount must be non-negative on Counter c.",
            "Record amount must be non-negative on Histogram h.",
        ]
        assert subject.collect().keys() == {"c"}
        assert subject.collect()["c"].points == {(): 1}

    def test_an_instrument_without_a_measurement_is_not_told(
        self, subject: Subject, meter: api.Meter
    ) -> None:
        """There is nothing to tell."""
        meter.create_counter("c")
        meter.create_histogram("h")
        meter.create_gauge("g")
        assert subject.collect() == {}


class TestAttributes:
    """What makes a series."""

    def test_order_does_not_matter(self, subject: Subject, meter: api.Meter) -> None:
        """The same attributes are the same set (hot-path 4)."""
        counter = meter.create_counter("c")
        for _ in range(2):
            counter.add(1, {"a": "x", "b": 2, "c": True})
            counter.add(1, {"c": True, "b": 2, "a": "x"})
        assert subject.collect()["c"].points == {key(a="x", b=2, c=True): 4}

    def test_values_that_python_takes_for_equal_are_different(
        self, subject: Subject, meter: api.Meter
    ) -> None:
        """1, True, 1.0 and "1" (hot-path 4), at whichever position and in sequences."""
        counter = meter.create_counter("c")
        sets: list[Any] = [{"a": value} for value in (1, True, 1.0, "1")]
        sets += [{"a": "x", "b": value} for value in (0, False, 0.0, "0")]
        sets += [{"a": one, "b": other} for one in (1, True) for other in (1, True)]
        sets += [{"a": [value]} for value in (1, True, 1.0, "1")]
        for _ in range(3):
            for attributes in sets:
                counter.add(1, attributes)
        points = subject.collect()["c"].points
        assert len(points) == len(sets)
        assert set(points.values()) == {3}

    def test_lists_are_values(self, subject: Subject, meter: api.Meter) -> None:
        """They cannot be hashed, and are not the application's to change later (hot-path 4)."""
        counter = meter.create_counter("c")
        shared = ["x", "y"]
        counter.add(1, {"a": shared})
        counter.add(1, {"a": ("x", "y")})
        shared.append("z")
        counter.add(1, {"a": shared})
        assert subject.collect()["c"].points == {key(a=["x", "y"]): 2, key(a=["x", "y", "z"]): 1}

    def test_the_application_may_reuse_its_mapping(self, subject: Subject, meter: api.Meter) -> None:
        """A series does not change with it."""
        counter = meter.create_counter("c")
        attributes = {"a": "x"}
        counter.add(1, attributes)
        attributes["a"] = "y"
        counter.add(1, attributes)
        assert subject.collect()["c"].points == {key(a="x"): 1, key(a="y"): 1}

    def test_objects_become_their_text(
        self, subject: Subject, meter: api.Meter, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With a warning."""

        class Thing:
            def __str__(self) -> str:
                return "thing"

        meter.create_counter("c").add(1, {"a": Thing()})  # type: ignore[dict-item]
        assert subject.collect()["c"].points == {key(a="thing"): 1}
        assert "Invalid type" in caplog.text

    @pytest.mark.parametrize("attributes", [{}, None, {"": "x"}])
    def test_nothing_that_can_be_kept_is_the_empty_set(
        self, subject: Subject, meter: api.Meter, attributes: Any
    ) -> None:
        """No attributes, none at all, or an empty name."""
        meter.create_counter("c").add(1, attributes)
        assert subject.collect()["c"].points == {(): 1}

    def test_what_is_no_mapping_is_the_empty_set(
        self, subject: Subject, meter: api.Meter, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With a warning."""
        meter.create_counter("c").add(1, ["a"])  # type: ignore[arg-type]
        assert subject.collect()["c"].points == {(): 1}
        assert "Expected a Mapping or None." in caplog.text


class TestRegistration:
    """Meters and instruments are made once."""

    def test_the_same_identity_is_the_same_meter(self, subject: Subject) -> None:
        """And any difference another one."""
        get = subject.provider.get_meter
        assert get("m", "1", "s", {"a": 1}) is get("m", "1", "s", {"a": 1})
        others = [get("m"), get("m", "1"), get("m", "1", "s"), get("m", "1", "s", {"a": 1}), get("n")]
        assert len({id(other) for other in others}) == 5

    def test_the_same_identity_is_the_same_instrument(self, subject: Subject, meter: api.Meter) -> None:
        """Case of the name does not matter."""
        first = meter.create_counter("Requests", "1", "Said.")
        again = meter.create_counter("requests", "1", "Said.")
        assert first is again
        first.add(1)
        again.add(1)
        assert subject.collect()["requests"].points == {(): 2}

    def test_another_advice_is_a_warning_and_the_first_counts(
        self, subject: Subject, meter: api.Meter, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The instrument works all the same."""
        first = meter.create_histogram("h", explicit_bucket_boundaries_advisory=[1.0])
        assert meter.create_histogram("h", explicit_bucket_boundaries_advisory=[2.0]) is first
        assert "has been created already" in caplog.text
        first.record(1)
        assert subject.collect()["h"].points[()].bounds == (1.0,)

    @pytest.mark.parametrize("name", ["", "1a", "a b", "ä", "a" * 256, "a\n"])
    def test_an_invalid_name_is_refused(self, meter: api.Meter, name: str) -> None:
        """As the SDK does it: by an exception where the instrument is made."""
        with pytest.raises(Exception, match="Expected ASCII string of maximum length 255"):
            meter.create_counter(name)
        with pytest.raises(Exception, match="Expected ASCII string of maximum length 255"):
            meter.create_observable_gauge(name)

    @pytest.mark.parametrize("unit", ["ä", "a" * 64])
    def test_an_invalid_unit_is_refused(self, meter: api.Meter, unit: str) -> None:
        """The same way."""
        with pytest.raises(Exception, match="Expected ASCII string of maximum length 63"):
            meter.create_histogram("h", unit)

    @pytest.mark.parametrize("name", ["a", "A.b-c_d/e9", "a" * 255])
    def test_valid_names_are_taken(self, subject: Subject, meter: api.Meter, name: str) -> None:
        """In lower case."""
        meter.create_counter(name).add(1)
        assert subject.collect().keys() == {name.lower()}

    def test_a_meter_without_a_name_does_nothing(
        self, subject: Subject, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With a warning."""
        subject.provider.get_meter("").create_counter("c").add(1)
        assert subject.collect() == {}
        assert "Meter name cannot be None or empty." in caplog.text

    def test_after_the_end_meters_do_nothing(self, make: Make, caplog: pytest.LogCaptureFixture) -> None:
        """And a second end is a warning."""
        provider: Any = make().provider
        provider.shutdown()
        assert isinstance(provider.get_meter("m"), api.NoOpMeter)
        provider.shutdown()
        assert [record.message for record in caplog.records] == [
            "A shutdown `MeterProvider` can not provide a `Meter`",
            "shutdown can only be called once",
        ]

    def test_kinds_are_the_interface_s(self, meter: api.Meter) -> None:
        """Whoever asks what an instrument is gets the right answer."""
        assert isinstance(meter.create_counter("a"), api.Counter)
        assert isinstance(meter.create_up_down_counter("b"), api.UpDownCounter)
        assert isinstance(meter.create_histogram("c"), api.Histogram)
        assert isinstance(meter.create_gauge("d"), api._Gauge)
        assert isinstance(meter.create_observable_counter("e"), api.ObservableCounter)
        assert isinstance(meter.create_observable_up_down_counter("f"), api.ObservableUpDownCounter)
        assert isinstance(meter.create_observable_gauge("g"), api.ObservableGauge)
        assert (meter.name, meter.version, meter.schema_url) == ("m", "1.0", "https://schema.test")


class TestAsynchronous:
    """Instruments that are asked."""

    def test_totals_are_taken_as_they_are(self, subject: Subject, meter: api.Meter) -> None:
        """Asking twice does not double them."""
        totals = iter(
            [[Observation(10, {"a": 1}), Observation(2.5)], [Observation(12, {"a": 1}), Observation(3.5)]]
        )
        meter.create_observable_counter("c", [lambda _: next(totals)])
        first, second = subject.collect()["c"], subject.collect()["c"]
        assert (first.shape, first.monotonic, first.points) == ("sum", True, {key(a=1): 10, (): 2.5})
        assert second.points == {key(a=1): 12, (): 3.5}

    def test_up_down_totals_may_fall(self, subject: Subject, meter: api.Meter) -> None:
        """They are not monotonic."""
        values = iter([[Observation(10)], [Observation(-3)]])
        meter.create_observable_up_down_counter("u", [lambda _: next(values)])
        assert subject.collect()["u"].points == {(): 10}
        stream = subject.collect()["u"]
        assert (stream.monotonic, stream.points) == (False, {(): -3})

    def test_a_gauge_of_a_set_that_is_gone_goes(self, subject: Subject, meter: api.Meter) -> None:
        """And comes back with it."""
        values = iter(
            [
                [Observation(1, {"a": 1}), Observation(2, {"a": 2})],
                [Observation(3, {"a": 2})],
                [Observation(4, {"a": 1})],
            ]
        )
        meter.create_observable_gauge("g", [lambda _: next(values)])
        assert subject.collect()["g"].points == {key(a=1): 1, key(a=2): 2}
        assert subject.collect()["g"].points == {key(a=2): 3}
        assert subject.collect()["g"].points == {key(a=1): 4}

    def test_several_observations_of_one_set(self, subject: Subject, meter: api.Meter) -> None:
        """Sums add them up, of gauges the last counts."""
        twice = [Observation(1, {"a": 1}), Observation(2, {"a": 1})]
        meter.create_observable_counter("c", [lambda _: twice])
        meter.create_observable_gauge("g", [lambda _: twice])
        streams = subject.collect()
        assert streams["c"].points == {key(a=1): 3}
        assert streams["g"].points == {key(a=1): 2}

    def test_several_callbacks_feed_one_instrument(self, subject: Subject, meter: api.Meter) -> None:
        """Functions, functions that yield, and generators that are sent the options."""
        received = []

        def yields(_: CallbackOptions) -> Iterable[Observation]:
            yield Observation(2, {"from": "function"})

        def generates() -> Any:
            options = yield []
            while True:
                received.append(options)
                options = yield [Observation(3, {"from": "generator"})]

        meter.create_observable_gauge("g", [lambda _: [Observation(1)], yields, generates()])
        expected = {(): 1, key(**{"from": "function"}): 2, key(**{"from": "generator"}): 3}
        assert subject.collect()["g"].points == expected
        assert subject.collect()["g"].points == expected
        assert all(isinstance(options, CallbackOptions) for options in received)
        assert len(received) == 2

    def test_a_generator_that_ends_observes_nothing_more(self, subject: Subject, meter: api.Meter) -> None:
        """It is no failure."""

        def generates() -> Any:
            yield []
            yield [Observation(3)]

        meter.create_observable_gauge("g", [generates()])
        assert subject.collect()["g"].points == {(): 3}
        assert subject.collect() == {}

    def test_a_callback_that_raises_leaves_the_others_alone(
        self, subject: Subject, meter: api.Meter, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What it had observed before counts."""

        def raises(_: CallbackOptions) -> Iterable[Observation]:
            yield Observation(1, {"a": 1})
            raise RuntimeError("broken")

        meter.create_observable_gauge("g", [raises, lambda _: [Observation(2, {"a": 2})]])
        meter.create_observable_counter("c", [lambda _: [Observation(3)]])
        streams = subject.collect()
        assert streams["g"].points == {key(a=1): 1, key(a=2): 2}
        assert streams["c"].points == {(): 3}
        assert "Callback failed for instrument g." in caplog.text
        assert caplog.records[0].levelno == logging.ERROR

    def test_observations_that_are_not_finite_are_ignored(
        self, subject: Subject, meter: api.Meter, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With a warning; the rest counts."""
        meter.create_observable_gauge("g", [lambda _: [Observation(math.nan), Observation(1, {"a": 1})]])
        assert subject.collect()["g"].points == {key(a=1): 1}
        assert "non-finite value nan for instrument g" in caplog.text


class TestViews:
    """The SDK's View objects."""

    def test_a_view_renames_describes_and_keeps_attributes(self, make: Make) -> None:
        """Sets that become equal are added up."""
        subject = make(views=[View(instrument_name="c", name="d", description="Said.", attribute_keys={"a"})])
        counter = subject.provider.get_meter("m").create_counter("c", description="Not said.")
        counter.add(1, {"a": 1, "b": 1})
        counter.add(2, {"b": 2, "a": 1})
        streams = subject.collect()
        assert streams.keys() == {"d"}
        assert (streams["d"].description, streams["d"].points) == ("Said.", {key(a=1): 3})

    def test_totals_of_sets_that_become_equal_are_added_up(self, make: Make) -> None:
        """Of asynchronous sums too."""
        subject = make(views=[View(instrument_name="c", attribute_keys=set())])
        seen = [Observation(1, {"a": 1}), Observation(2, {"a": 2})]
        subject.provider.get_meter("m").create_observable_counter("c", [lambda _: seen])
        assert subject.collect()["c"].points == {(): 3}
        assert subject.collect()["c"].points == {(): 3}

    def test_every_matching_view_makes_a_stream(self, make: Make) -> None:
        """The instrument's own is there only when a view makes it."""
        subject = make(
            views=[
                View(instrument_name="h", name="one", aggregation=ExplicitBucketHistogramAggregation([1.0])),
                View(instrument_name="h", name="two", aggregation=SumAggregation()),
                View(instrument_name="h", name="three", aggregation=LastValueAggregation()),
            ]
        )
        histogram = subject.provider.get_meter("m").create_histogram("h")
        for _ in range(3):
            histogram.record(2, {"a": 1})
        streams = subject.collect()
        assert streams["one"].points == {key(a=1): Histogram((0, 3), (1.0,), 6, 2, 2)}
        assert (streams["two"].shape, streams["two"].monotonic) == ("sum", False)
        assert streams["two"].points == {key(a=1): 6}
        assert (streams["three"].shape, streams["three"].points) == ("gauge", {key(a=1): 2})
        assert len(streams) == 3

    def test_everything_dropped_but_what_is_wanted(self, make: Make) -> None:
        """The SDK's own example."""
        subject = make(
            views=[View(instrument_name="*", aggregation=DropAggregation()), View(instrument_name="mine")]
        )
        meter = subject.provider.get_meter("m")
        meter.create_counter("mine").add(1)
        meter.create_counter("other").add(1)
        meter.create_observable_gauge("third", [lambda _: [Observation(1)]])
        assert subject.collect().keys() == {"mine"}

    @pytest.mark.parametrize(
        ("selector", "matched"),
        [
            ({"instrument_name": "http.*"}, {"http.a", "http.b"}),
            ({"instrument_name": "HTTP.A"}, {"http.a"}),
            ({"instrument_name": "*.?"}, {"http.a", "http.b", "other.c"}),
            ({"instrument_type": sdk.Counter}, {"http.a"}),
            ({"instrument_type": api.Histogram}, {"http.b"}),
            ({"instrument_type": api.Synchronous}, {"http.a", "http.b", "other.c"}),
            ({"instrument_type": sdk.ObservableGauge}, {"asked"}),
            ({"instrument_unit": "s"}, {"http.b"}),
            ({"meter_name": "m"}, {"http.a", "http.b", "other.c", "asked"}),
            ({"meter_name": "m*"}, set()),
            ({"meter_version": "1"}, {"http.a", "http.b", "other.c", "asked"}),
            ({"meter_schema_url": "x"}, set()),
            ({"instrument_name": "http.*", "instrument_unit": "s"}, {"http.b"}),
        ],
    )
    def test_selectors(self, make: Make, selector: dict[str, Any], matched: set[str]) -> None:
        """All criteria must hold; only names and units take patterns."""
        subject = make(views=[View(**selector, aggregation=DropAggregation())])
        meter = subject.provider.get_meter("m", "1")
        meter.create_counter("http.a").add(1)
        meter.create_histogram("http.b", "s").record(1)
        meter.create_up_down_counter("other.c").add(1)
        meter.create_observable_gauge("asked", [lambda _: [Observation(1)]])
        assert {"http.a", "http.b", "other.c", "asked"} - subject.collect().keys() == matched

    def test_aggregations_of_other_kinds(self, make: Make) -> None:
        """Sums of gauges, last values of counters, histograms of sums."""
        subject = make(
            views=[
                View(instrument_name="g", aggregation=SumAggregation()),
                View(instrument_name="c", aggregation=LastValueAggregation()),
                View(instrument_name="u", aggregation=ExplicitBucketHistogramAggregation([0.0])),
                View(instrument_name="h", aggregation=ExplicitBucketHistogramAggregation()),
            ]
        )
        meter = subject.provider.get_meter("m")
        gauge, counter = meter.create_gauge("g"), meter.create_counter("c")
        for value in (1, 2):
            gauge.set(value)
            counter.add(value)
        meter.create_up_down_counter("u").add(-1)
        meter.create_histogram("h", explicit_bucket_boundaries_advisory=[7.0]).record(1)
        streams = subject.collect()
        assert (streams["g"].shape, streams["g"].points) == ("sum", {(): 3})
        assert (streams["c"].shape, streams["c"].points) == ("gauge", {(): 2})
        assert streams["u"].points == {(): Histogram((1, 0), (0.0,), -1, -1, -1)}
        assert streams["h"].points[()].bounds == (7.0,)

    def test_a_histogram_of_an_asynchronous_instrument_is_not_applied(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With a warning; the instrument is told as if the view were not there."""
        subject = make(
            views=[View(instrument_name="g", name="x", aggregation=ExplicitBucketHistogramAggregation([1.0]))]
        )
        subject.provider.get_meter("m").create_observable_gauge("g", [lambda _: [Observation(1)]])
        assert subject.collect()["g"].points == {(): 1}
        assert "semantic errors" in caplog.text

    def test_views_that_make_one_name_of_two_are_warned_about(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Both go on."""
        subject = make(views=[View(instrument_name="a", name="same"), View(instrument_name="b", name="same")])
        meter = subject.provider.get_meter("m")
        meter.create_counter("a").add(1)
        meter.create_counter("b").add(1)
        subject.collect()
        assert "will cause conflicting metrics identities" in caplog.text


class TestExemplars:
    """Measurements with their trace."""

    def test_a_measurement_inside_a_sampled_span(self, subject: Subject, meter: api.Meter) -> None:
        """Sums and histograms keep value and ids; a span that is not sampled leaves none."""
        counter, histogram = meter.create_counter("c"), meter.create_histogram("h")
        for _ in range(2):
            with use_span(sampled(flag=False)):
                counter.add(1, {"a": 1})
        counter.add(1, {"a": 2})
        with use_span(sampled(7)):
            counter.add(3, {"a": 3})
            histogram.record(4, {"a": 1})
        streams = subject.collect()
        assert streams["c"].exemplars == {key(a=3): {(3, 7, 8)}}
        assert streams["h"].exemplars == {key(a=1): {(4, 7, 8)}}

    def test_a_context_that_is_passed_counts_instead(self, subject: Subject, meter: api.Meter) -> None:
        """It may be another than the current one."""
        counter = meter.create_counter("c")
        with use_span(sampled(7)):
            counter.add(1, {"a": 1}, context=set_span_in_context(sampled(20)))
            counter.add(1, {"a": 2}, context=set_span_in_context(sampled(30, flag=False)))
        assert subject.collect()["c"].exemplars == {key(a=1): {(1, 20, 21)}}

    def test_streams_of_views_keep_exemplars(self, make: Make) -> None:
        """Each of them."""
        subject = make(
            views=[
                View(instrument_name="h"),
                View(instrument_name="h", name="s", aggregation=SumAggregation()),
            ]
        )
        with use_span(sampled(7)):
            subject.provider.get_meter("m").create_histogram("h").record(2)
        streams = subject.collect()
        assert streams["h"].exemplars == streams["s"].exemplars == {(): {(2, 7, 8)}}


# Halves add up exactly in any order; other fractions would differ in their last digit.
AMOUNTS = st.one_of(st.integers(-5, 20_000), st.integers(-5, 40_000).map(lambda halves: halves / 2))
SETS = st.dictionaries(
    st.sampled_from(["a", "b", "url.path", "ä"]),
    st.one_of(
        st.sampled_from(["", "x", "1", 0, 1, True, False, 0.0, 1.0]),
        st.lists(st.sampled_from(["x", 1, True]), max_size=2),
    ),
)
VIEWS = st.lists(
    st.builds(
        View,
        instrument_name=st.sampled_from(["*", "c", "h", "?"]),
        attribute_keys=st.one_of(st.none(), st.sets(st.sampled_from(["a", "b"]))),
        aggregation=st.sampled_from(
            [None, SumAggregation(), LastValueAggregation(), ExplicitBucketHistogramAggregation([0.0, 10.0])]
        ),
        description=st.sampled_from([None, "Said."]),
    ),
    max_size=1,
)


@given(VIEWS, st.lists(st.tuples(st.sampled_from("cuhg"), AMOUNTS, SETS), max_size=25))
@settings(max_examples=60, deadline=None)
def test_both_providers_say_the_same(
    views: list[View], measurements: list[tuple[str, float, dict[str, Any]]]
) -> None:
    """Whatever is measured, through whichever view."""
    said = []
    for subject in (Ours(views), OursRead(views), Sdk(views)):
        meter = subject.provider.get_meter("m")
        write: dict[str, Any] = {
            "c": meter.create_counter("c").add,
            "u": meter.create_up_down_counter("u").add,
            "h": meter.create_histogram("h").record,
            "g": meter.create_gauge("g").set,
        }
        for name, amount, attributes in measurements:
            write[name](amount, attributes)
        said.append(subject.collect())
        subject.provider.shutdown()
    assert said[0] == said[2]
    assert said[1] == said[2]
