"""What the tests of this room make their data of."""

from hypothesis import strategies as st

from otelc2c.record.points import Scope

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_keys = texts.filter(bool)
_whole = st.integers(-(2**63), 2**63 - 1)
_fractions = st.floats(allow_nan=False)
values = st.one_of(
    texts,
    st.booleans(),
    _whole,
    _fractions,
    st.lists(texts, max_size=3).map(tuple),
    st.lists(st.booleans(), max_size=3).map(tuple),
    st.lists(_whole, max_size=3).map(tuple),
    st.lists(_fractions, max_size=3).map(tuple),
)
attribute_sets = st.dictionaries(_keys, values, max_size=4)
scopes = st.builds(
    lambda name, version, schema_url, attributes: Scope(
        name, version, schema_url, tuple(sorted(attributes.items()))
    ),
    texts,
    st.sampled_from(["", "1.2"]),
    st.sampled_from(["", "https://x/1"]),
    st.dictionaries(_keys, st.one_of(texts, st.booleans()), max_size=2),
)
