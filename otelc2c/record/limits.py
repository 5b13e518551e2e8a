"""How much a span may hold, and the attribute set that keeps to it exactly as the SDK's does."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from opentelemetry.attributes import BoundedAttributes

from otelc2c.settings import Settings

_SIMPLE: Final = frozenset({str, bool, int, float})
"""Types that need no cleaning; a text may need shortening."""


class LimitsLike(Protocol):
    """What `opentelemetry.sdk.trace.SpanLimits` has, and `Limits`."""

    @property
    def max_span_attributes(self) -> int | None: ...
    @property
    def max_event_attributes(self) -> int | None: ...
    @property
    def max_link_attributes(self) -> int | None: ...
    @property
    def max_events(self) -> int | None: ...
    @property
    def max_links(self) -> int | None: ...
    @property
    def max_attribute_length(self) -> int | None: ...
    @property
    def max_span_attribute_length(self) -> int | None: ...


class Limits(NamedTuple):
    """The specification's span limits under the SDK's names; None is no limit, lengths are characters."""

    max_span_attributes: int | None = 128
    max_event_attributes: int | None = 128
    max_link_attributes: int | None = 128
    max_events: int | None = 128
    max_links: int | None = 128
    max_attribute_length: int | None = None
    max_span_attribute_length: int | None = None

    @classmethod
    def of(cls, like: LimitsLike) -> "Limits":
        """The same limits, taken from the SDK's object or another of its form."""
        return cls(*(getattr(like, name) for name in cls._fields))

    @classmethod
    def from_settings(cls, settings: Settings) -> "Limits":
        """The limits that the `OTEL_*_LIMIT` variables ask for."""
        return cls(
            max_span_attributes=settings.span_attribute_count_limit,
            max_event_attributes=settings.event_attribute_count_limit,
            max_link_attributes=settings.link_attribute_count_limit,
            max_events=settings.span_event_count_limit,
            max_links=settings.span_link_count_limit,
            max_attribute_length=settings.attribute_value_length_limit,
            max_span_attribute_length=settings.span_attribute_value_length_limit,
        )


class AttributeSet(dict[str, Any]):
    """A span's own attributes: the latest of each key, the oldest dropped when full, values cleaned.

    It does what OpenTelemetry's `BoundedAttributes` does. Values of plain types are kept as they
    are; all others, and keys that are no text, go through that very class.
    """

    __slots__ = ("dropped", "length", "limit")

    def __init__(self, limit: int | None, length: int | None) -> None:
        """At most `limit` attributes with texts of `length` characters; None is no limit."""
        super().__init__()
        self.limit = limit
        self.length = length
        self.dropped = 0

    def put(self, key: str, value: object) -> None:
        """Set one attribute, as `Span.set_attribute` does."""
        if self.limit == 0:
            self.dropped += 1
        elif key and type(key) is str and self._is_clean(value):
            self._store(key, value)
        else:
            one = BoundedAttributes(immutable=False, max_value_len=self.length)
            one[key] = value  # type: ignore[assignment]
            self.dropped += one.dropped
            for clean_key, clean in one.items():
                self._store(clean_key, clean)

    def put_all(self, values: Mapping[str, Any]) -> None:
        """Set several attributes, as `Span.set_attributes` does."""
        if self.limit == 0:
            self.dropped += len(values)
            return
        for key, value in values.items():
            if not key or type(key) is not str or not self._is_clean(value):
                cleaned = BoundedAttributes(attributes=values, max_value_len=self.length)
                self.dropped += cleaned.dropped
                values = cleaned
                break
        for key, value in values.items():
            self._store(key, value)

    def _is_clean(self, value: object) -> bool:
        kind = type(value)
        if kind is str:
            return self.length is None or len(value) <= self.length  # type: ignore[arg-type]
        return kind in _SIMPLE

    def _store(self, key: str, value: object) -> None:
        if key in self:
            self.pop(key, None)
        limit = self.limit
        if limit is not None and len(self) >= limit:
            # Another thread may have taken the oldest in between.
            self.pop(next(iter(self), key), None)
            self.dropped += 1
        self[key] = value
