"""What settings are made of, where a plain number or text is not enough."""

from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import SplitResult, urlsplit

Combine: TypeAlias = Literal["sum", "max", "recent", "worker"]
MASK: Final = "***"


class Problem(NamedTuple):
    """Something in the environment that cannot be taken as it is. Never holds a secret."""

    variable: str
    message: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.message}"


class View(NamedTuple):
    """What one rule of `OTELC2C_VIEWS` makes of the instruments that `selector` matches."""

    selector: str
    """An instrument's name; `*` and `?` stand for any characters and any one character."""
    drop: bool = False
    name: str | None = None
    keys: tuple[str, ...] | None = None
    """Only these attribute keys are kept; `None` keeps all."""
    exclude: tuple[str, ...] = ()
    """These attribute keys are left out."""
    buckets: tuple[float, ...] | None = None

    def __str__(self) -> str:
        """The rule as it is written in the variable."""
        actions = ["drop"] if self.drop else []
        for key in ("name", "keys", "exclude", "buckets"):
            value = getattr(self, key)
            if isinstance(value, tuple) and (value or key != "exclude"):
                actions.append(f"{key}={'|'.join(f'{v:.15g}' if isinstance(v, float) else v for v in value)}")
            elif isinstance(value, str):
                actions.append(f"{key}={value}")
        return f"{self.selector}:{','.join(actions)}"


class QueryPolicy(NamedTuple):
    """Which values of a query string are replaced before it is recorded."""

    everything: bool = True
    """Whether values are replaced unless their name is in `names`; otherwise only those in it are."""
    names: frozenset[str] = frozenset()

    def redacts(self, name: str) -> bool:
        """Whether the value of the parameter `name` must not be recorded."""
        return (name in self.names) is not self.everything

    def __str__(self) -> str:
        """The policy as it is written in the variable."""
        names = ",".join(sorted(self.names))
        if self.everything:
            return f"except:{names}" if names else "all"
        return names or "none"


def split_url(text: str) -> SplitResult | None:
    """The parts of a URL with a host and a valid port, or `None`."""
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if usable else None


def without_user(text: str) -> str:
    """A URL as it may be shown: user and password are replaced, and so is the query string."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return MASK
    host = parts.netloc.rpartition("@")[2]
    if "@" in parts.path or (not parts.netloc and "@" in text):
        return MASK
    if "@" in parts.netloc:
        host = f"{MASK}@{host}"
    return parts._replace(netloc=host, query=MASK if parts.query else "", fragment="").geturl()
