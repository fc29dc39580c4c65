"""The command line: `retinue …` or `python -m retinue …`."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Literal

import click

from retinue import __version__, demo, server
from retinue.db import migrations
from retinue.domain.errors import RetinueError
from retinue.server.log import log_to_stderr
from retinue.settings import Settings, SettingsError, check, load
from retinue.settings.loading import CONFIG_VARIABLE

CONFIG_ERROR = 2


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
    log_to_stderr(settings)
    try:
        asyncio.run(migrations.upgrade(settings.database.url))
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
    if reasons := check(settings):
        click.echo("Retinue does not start with these settings:", err=True)
        for reason in reasons:
            click.echo(f"  - {reason}", err=True)
        sys.exit(CONFIG_ERROR)


async def _prepare_schema(settings: Settings) -> None:
    url = settings.database.url
    if settings.database.is_sqlite:
        await migrations.upgrade(url)
    elif not await migrations.is_current(url):
        raise click.ClickException("The database schema is not current. Run `retinue migrate` first.")


def _greet(settings: Settings, url: str, seed: demo.Seed | None) -> None:
    click.echo(demo.banner(url, seed, is_open=settings.is_open))
    sys.stdout.flush()


if __name__ == "__main__":
    main(prog_name="retinue")
