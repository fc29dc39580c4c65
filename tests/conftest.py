"""What all tests share. The fixtures live by topic in `tests/support`."""

from hypothesis import settings

pytest_plugins = (
    "tests.support.network",
    "tests.support.fixtures",
    "tests.support.databases",
    "tests.support.redis",
    "tests.support.server",
)

settings.register_profile("retinue", derandomize=True, deadline=None)
settings.load_profile("retinue")
