"""The command line: `retinue …` or `python -m retinue …`."""

import gc

gc.disable()  # nothing of what is loaded now is garbage, and to look for it takes a third of the time

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Literal

import click

from retinue import __version__, app, demo, proving, server
from retinue.db import migrations
from retinue.db.row_security import Roles
from retinue.db.row_security.checking import findings
from retinue.domain.errors import RetinueError
from retinue.server.log import log_to_stderr
from retinue.settings import Settings, SettingsError, check, check_migration, load
from retinue.settings.loading import CONFIG_VARIABLE

gc.freeze()
gc.enable()

CONFIG_ERROR = 2
NOT_PROVEN = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="retinue")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file with settings; RETINUE_CONFIG does the same.",
)
@click.pass_context
def main(context: click.Context, config: Path | None) -> None:
    """AI employees for every tenant: durable, streamed, auditable runs over HTTP."""
    context.obj = config


@main.command()
@click.option("--demo", "with_demo", is_flag=True, help="Hire a demo employee and print curl lines that talk to it.")
@click.pass_obj
def serve(config: Path | None, *, with_demo: bool) -> None:
    """Serve HTTP. Migrates SQLite by itself; refuses a PostgreSQL schema that is not current."""
    settings = _settings(config)
    _refuse_unsafe(settings)
    redactor = log_to_stderr(settings)
    try:
        asyncio.run(_prepare_schema(settings))
        seed = asyncio.run(demo.seed(settings)) if with_demo else None
        server.run(settings, redactor, on_listening=lambda url: _greet(settings, url, seed))
    except RetinueError as error:
        raise click.ClickException(error.detail) from None


@main.command()
@click.pass_obj
def migrate(config: Path | None) -> None:
    """Bring the database schema up to date."""
    settings = _settings(config)
    _refuse("Retinue does not migrate with these settings:", check_migration(settings))
    log_to_stderr(settings)
    try:
        asyncio.run(_migrate(settings))
    except RetinueError as error:
        raise click.ClickException(error.detail) from None
    click.echo(f"The schema is at {migrations.head()}.")


@main.command("check-config")
@click.pass_obj
def check_config(config: Path | None) -> None:
    """Say whether these settings may start a server, and show them without their secrets."""
    settings = _settings(config)
    click.echo(json.dumps(settings.public(), indent=2))
    _refuse_unsafe(settings)
    click.echo("These settings may start a server.", err=True)


@main.command("rotate-keys")
@click.option("--check", "only_check", is_flag=True, help="Only count; fail while an older master key is still needed.")
@click.pass_obj
def rotate_keys(config: Path | None, *, only_check: bool) -> None:
    """Move everything that is sealed to the first of the master keys. Servers may run meanwhile."""
    settings = _settings(config)
    _refuse_unsafe(settings)
    log_to_stderr(settings)
    try:
        is_done = asyncio.run(_check_keys(settings) if only_check else _rotate_keys(settings))
    except RetinueError as error:
        raise click.ClickException(error.detail) from None
    if not is_done:
        sys.exit(1)


@main.command("demo")
@click.option("--url", default=None, help="The server; default: where these settings would listen.")
@click.option("--message", default=demo.QUESTION, show_default=True, help="What to say.")
@click.option(
    "--allow/--deny", default=None, help="Decide about everything that needs an approval; without it you are asked."
)
@click.pass_obj
def run_demo(config: Path | None, url: str | None, message: str, *, allow: bool | None) -> None:
    """Run one real streamed turn against a server that was started with --demo, and print the stream."""
    settings = _settings(config)
    key = settings.operator_key.get_secret_value()
    try:
        address = url or server.url_of(settings.host, settings.port)
        asyncio.run(demo.talk(address, message, key, sys.stdout.buffer, _decider(allow)))
    except demo.DemoFailed as error:
        raise click.ClickException(str(error)) from None


@main.command("prove-isolation")
@click.option("--url", required=True, help="The server.")
@click.option(
    "--operator-key", envvar="RETINUE_OPERATOR_KEY", required=True, help="Better in the variable RETINUE_OPERATOR_KEY."
)
@click.option("--rounds", default=20, show_default=True, help="How often each operation is timed; 0 for not at all.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def prove_isolation(url: str, operator_key: str, rounds: int, *, as_json: bool) -> None:
    """Prove on a running server that its tenants do not exist for each other.

    Makes two tenants, has one attack the other in every place of every operation, and deletes both. Fails if anything
    could be read, changed or noticed.
    """
    try:
        report = asyncio.run(proving.prove(url, operator_key, rounds=rounds))
    except proving.ProvingFailed as error:
        click.echo(str(error), err=True)
        sys.exit(NOT_PROVEN)
    click.echo(report.as_json() if as_json else "\n".join(report.lines()))
    sys.exit(0 if report.is_clean else 1)


def _decider(allow: bool | None) -> demo.Decide:
    """Who decides about approvals in the demo: the options, else whoever sits at the terminal, else nobody."""

    def decide(approval: dict[str, Any]) -> Literal["allow_once", "deny"] | None:
        said = allow
        if said is None and sys.stdin.isatty():
            said = click.confirm(f"{approval['message']} {approval['reason']}", err=True)
        if said is None:
            return None
        return "allow_once" if said else "deny"

    return decide


def _settings(config: Path | None) -> Settings:
    if config is not None:
        # For the workers, too: they keep employees away from this file.
        os.environ[CONFIG_VARIABLE] = str(config)
    try:
        return load(config)
    except SettingsError as error:
        click.echo(f"The settings cannot be used.\n{error}", err=True)
        sys.exit(CONFIG_ERROR)


def _refuse_unsafe(settings: Settings) -> None:
    _refuse("Retinue does not start with these settings:", check(settings))


def _refuse(what: str, reasons: list[str]) -> None:
    if reasons:
        click.echo(what, err=True)
        for reason in reasons:
            click.echo(f"  - {reason}", err=True)
        sys.exit(CONFIG_ERROR)


async def _rotate_keys(settings: Settings) -> bool:
    done = await app.rotate_keys(settings)
    click.echo(f"{done.rewrapped} rewrapped, {done.current} current, {len(done.unopened)} could not be opened.")
    for each in done.unopened:
        click.echo(f"  - {each.table} {each.row}: {each.reason}", err=True)
    return done.is_complete


async def _check_keys(settings: Settings) -> bool:
    found = await app.check_keys(settings)
    click.echo(
        f"Of {found.values} sealed values, {found.older} need an older master key, and {found.unknown} one that is not "
        "in the list."
    )
    return found.older == 0 and found.unknown == 0


async def _migrate(settings: Settings) -> None:
    database = settings.database
    roles = None if database.is_sqlite else Roles.of(database.url, database.jobs_url)
    await migrations.upgrade(database.migration_url, roles=roles)


async def _prepare_schema(settings: Settings) -> None:
    database = settings.database
    if database.is_sqlite:
        await migrations.upgrade(database.url)
        return
    reasons = await findings(database.url, database.jobs_url)
    if not await migrations.is_current(database.url):
        raise click.ClickException("The database schema is not current. Run `retinue migrate` first.")
    _refuse("Retinue does not start, because its database would not keep tenants apart:", reasons)


def _greet(settings: Settings, url: str, seed: demo.Seed | None) -> None:
    click.echo(demo.banner(url, seed, is_open=settings.is_open))
    sys.stdout.flush()


if __name__ == "__main__":
    main(prog_name="retinue")
