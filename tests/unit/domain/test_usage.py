from hypothesis import given
from hypothesis import strategies as st

from retinue.domain.usage import Provenance, Usage, add_usage

counts = st.none() | st.integers(0, 10**9)
usages = st.builds(
    Usage,
    input_tokens=counts,
    cached_input_tokens=counts,
    cache_write_tokens=counts,
    output_tokens=counts,
    reasoning_tokens=counts,
    provenance=st.sampled_from(Provenance),
)
COUNTS = [name for name in Usage.__struct_fields__ if name != "provenance"]


def test_what_is_unknown_on_both_sides_stays_unknown() -> None:
    total = add_usage(Usage(input_tokens=7), Usage(input_tokens=5, output_tokens=0))
    assert total == Usage(input_tokens=12, output_tokens=0)
    assert total.cached_input_tokens is None


def test_every_count_is_added() -> None:
    first = Usage(**{name: 10**place for place, name in enumerate(COUNTS)})
    second = Usage(**{name: 2 * 10**place for place, name in enumerate(COUNTS)})
    assert [getattr(add_usage(first, second), name) for name in COUNTS] == [3, 30, 300, 3000, 30000]


def test_an_estimate_taints_the_sum() -> None:
    reported, estimated = Usage(output_tokens=1), Usage(output_tokens=2, provenance=Provenance.ESTIMATED)
    assert add_usage(reported, reported).provenance is Provenance.REPORTED
    assert add_usage(reported, estimated).provenance is Provenance.ESTIMATED
    assert add_usage(estimated, reported).provenance is Provenance.ESTIMATED


@given(usages, usages, usages)
def test_the_order_of_the_calls_does_not_matter(first: Usage, second: Usage, third: Usage) -> None:
    assert add_usage(first, second) == add_usage(second, first)
    assert add_usage(add_usage(first, second), third) == add_usage(first, add_usage(second, third))


@given(usages)
def test_an_unknown_usage_changes_no_count(usage: Usage) -> None:
    assert add_usage(usage, Usage()) == usage
