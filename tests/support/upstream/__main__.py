"""`python -m tests.support.upstream --port 9009`: the fake upstream by hand."""

import argparse
import asyncio
import signal
import sys
from contextlib import suppress

from tests.support.upstream.catalogue import NAMED
from tests.support.upstream.server import FakeUpstream

USAGE = """\
Fake upstream on {address}

  OpenAI base URL     {openai}      (any key)
  Anthropic base URL  {anthropic}

  curl -N {openai}/chat/completions -H 'Content-Type: application/json' \\
    -d '{{"model": "tokens-20-50ms", "stream": true, "messages": [{{"role": "user", "content": "Hello"}}]}}'

The model name chooses what happens:
{names}

Any scenario of tests/support/upstream/scenario.py also works as the user message:
  scenario:{{"pieces": [{{"do": "text", "text": "Hel"}}, {{"do": "cut", "how": "rst"}}]}}
"""


async def serve(host: str, port: int) -> None:
    upstream = FakeUpstream(host=host, port=port)
    await upstream.start()
    names = "\n".join(f"  {named.example:<20}{named.meaning}" for named in NAMED)
    text = USAGE.format(
        address=upstream.address, openai=upstream.openai_url, anthropic=upstream.anthropic_url, names=names
    )
    sys.stdout.write(text)
    sys.stdout.flush()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await upstream.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.upstream", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9009)
    arguments = parser.parse_args()
    run = asyncio.run
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415

        run = uvloop.run
    run(serve(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
