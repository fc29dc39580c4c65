"""Servers to send made-up requests to, and the figures of what was sent."""

from collections.abc import Callable, Generator, Iterator

import pytest

from tests.fuzz.sizes import IS_FULL, SEED
from tests.support.databases import DIALECTS, Dialect, fresh_database
from tests.support.forking import ForkedServer, Template, forked_retinue
from tests.support.server import environment_for

SETTINGS = {
    "TESTS_TOOLS": "tests.fuzz.offline",
    "RETINUE_PROVIDER_MAX_TRIES": "1",
    "RETINUE_RATES_TENANT_REQUESTS_PER_MINUTE": "0",
    "RETINUE_RATES_USER_REQUESTS_PER_MINUTE": "0",
    "RETINUE_RATES_WRONG_CREDENTIALS_PER_MINUTE": "0",
}
WHERE: tuple[Dialect, ...] = DIALECTS if IS_FULL else ("sqlite",)


def _server(request: pytest.FixtureRequest, dialect: Dialect) -> Iterator[ForkedServer]:
    template: Template = request.getfixturevalue("template")
    folder = request.getfixturevalue("tmp_path_factory").mktemp("retinue")
    with (
        fresh_database(request, dialect, folder, template="migrated_template") as url,
        forked_retinue(template, folder, environment_for(url, **SETTINGS)) as server,
    ):
        yield server


@pytest.fixture(scope="module", params=WHERE)
def server(request: pytest.FixtureRequest) -> Iterator[ForkedServer]:
    """In the short form on SQLite only."""
    yield from _server(request, request.param)


@pytest.fixture(scope="module", params=DIALECTS)
def either(request: pytest.FixtureRequest) -> Iterator[ForkedServer]:
    """Once on each database, in both forms."""
    yield from _server(request, request.param)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Keeps a figure for the summary at the end."""
    return lambda text: record_property("figure", text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Beside a failure: how to repeat it, and what the server wrote."""
    report = yield
    if report.failed:
        repeat = f"FUZZ_SEED={SEED} FUZZ={'full' if IS_FULL else 'short'} pytest {item.nodeid!r}"
        report.sections.append(("to repeat it", repeat))
        for used in getattr(item, "funcargs", {}).values():
            if isinstance(used, ForkedServer):
                report.sections.append((f"output of {used.address}", used.process.tail(4000)))
    return report


def pytest_report_header() -> str:
    return f"fuzz: FUZZ_SEED={SEED} FUZZ={'full' if IS_FULL else 'short'}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures, also those of other workers."""
    lines = [
        f"{report.nodeid.rpartition('/')[2]}: {value}"
        for reports in (terminalreporter.getreports("passed"), terminalreporter.getreports("failed"))
        for report in reports
        if "/fuzz/" in report.nodeid
        for name, value in report.user_properties
        if name == "figure"
    ]
    if lines:
        terminalreporter.section(f"figures (FUZZ_SEED={SEED})")
        for line in lines:
            terminalreporter.write_line(line)
