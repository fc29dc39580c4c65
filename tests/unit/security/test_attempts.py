"""Wrong credentials: how many one address may send, and whom that does not concern."""

import pytest

from retinue.domain.errors import RateLimited
from retinue.security import attempts as module
from retinue.security.attempts import Attempts

HERE, THERE = ("192.0.2.7", 40_000), ("192.0.2.8", 40_000)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def place(attempts: Attempts, client: tuple[str, int] | None = HERE, forwarded: str | None = None) -> str:
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    return attempts.address_of(client, headers)


def guess(attempts: Attempts, address: str, count: int) -> int:
    """How many of so many guesses are looked at."""
    seen = 0
    for number in range(count):
        try:
            attempts.refuse_if_many(address, b"guess %d" % number)
        except RateLimited:
            continue
        seen += 1
        attempts.was_wrong(address)
    return seen


def test_an_address_may_be_wrong_so_often() -> None:
    attempts = Attempts(30, clock=(clock := Clock()))
    assert guess(attempts, "a", 100) == 30
    with pytest.raises(RateLimited) as refused:
        attempts.refuse_if_many("a", b"one more")
    assert refused.value.headers == {"Retry-After": "2"}
    clock.now += 2
    assert guess(attempts, "a", 100) == 1
    clock.now += 60
    assert guess(attempts, "a", 100) == 30
    assert guess(attempts, "b", 1) == 1, "nobody else minds"


def test_who_was_right_before_is_not_shut_out_by_others_at_the_same_address() -> None:
    attempts = Attempts(3, clock=Clock())
    attempts.was_right(b"good")
    guess(attempts, "a", 100)
    attempts.refuse_if_many("a", b"good")
    with pytest.raises(RateLimited):
        attempts.refuse_if_many("a", b"bad")


def test_zero_is_without_a_bound() -> None:
    attempts = Attempts(0)
    assert guess(attempts, "a", 1000) == 1000
    attempts.was_right(b"good")
    assert not attempts._forgiven_at
    assert not attempts._good


def test_what_a_client_says_of_itself_is_not_believed() -> None:
    attempts = Attempts(30)
    assert place(attempts, forwarded="198.51.100.1") == "192.0.2.7"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (None, "192.0.2.7"),
        ("198.51.100.1", "198.51.100.1"),
        ("6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("198.51.100.1, 10.0.0.9", "198.51.100.1"),
        ("10.0.0.1, 10.0.0.9", "10.0.0.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("nonsense", "nonsense"),
        ("198.51.100.1:40001", "198.51.100.1"),
        ("[2001:db8:1:2:3::4]:40001", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3::4]", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("[::ffff:198.51.100.1]:40001", "198.51.100.1"),
        ("198.51.100.1, ::ffff:10.0.0.9", "198.51.100.1"),
        ("198.51.100.1, 10.0.0.9:40001", "198.51.100.1"),
    ],
)
def test_a_known_proxy_names_whom_it_forwards_for(forwarded: str | None, expected: str) -> None:
    """The last one that is not a proxy itself: what stands before it, anybody can have written."""
    attempts = Attempts(30, proxies=("192.0.2.7/32", "10.0.0.0/8"))
    assert place(attempts, forwarded=forwarded) == expected
    assert place(attempts, THERE, forwarded) == "192.0.2.8"


def test_who_has_no_address_has_one_all_the_same() -> None:
    assert place(Attempts(30), None) == ""


def test_one_network_of_ipv6_is_one_address() -> None:
    attempts = Attempts(30)
    assert place(attempts, ("2001:db8::1", 1)) == place(attempts, ("2001:db8::ffff:2", 1)) == "2001:db8::/64"


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ADDRESSES", 5)
    monkeypatch.setattr(module, "MAX_GOOD", 3)
    attempts = Attempts(30)
    for number in range(50):
        attempts.was_wrong(str(number))
        attempts.was_right(b"%d" % number)
    assert (len(attempts._forgiven_at), len(attempts._good)) == (5, 3)
    assert list(attempts._forgiven_at)[-1] == "49"
