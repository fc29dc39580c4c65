"""Whatever has to succeed for the proof."""

from typing import Any

from retinue.proving.entry import API
from retinue.proving.exchange import Answer, Ask, ProvingFailed, Server


class Doer:
    """Asks with one credential, and takes no refusal. Paths are told without their beginning.

    Raises:
        ProvingFailed: there was one.
    """

    def __init__(self, server: Server, credential: str) -> None:
        self._server = server
        self._credential = credential

    async def post(self, path: str, body: Any) -> Any:
        return (await self._do("POST", path, body)).json()

    async def put(self, path: str, body: Any) -> None:
        await self._do("PUT", path, body)

    async def patch(self, path: str, body: Any) -> None:
        await self._do("PATCH", path, body)

    async def delete(self, path: str) -> None:
        await self._do("DELETE", path)

    async def follow(self, path: str, body: Any) -> None:
        """Read a stream to its end."""
        await self._do("POST", path, body)

    async def _do(self, method: str, path: str, body: Any = None) -> Answer:
        ask = Ask(method=method, path=f"{API}{path}", body=body)
        answer = await self._server.ask(ask, self._credential)
        if not answer.is_success:
            raise ProvingFailed(
                f"{method} {ask.path} is answered with {answer.status}: {answer.body[:500].decode(errors='replace')}"
            )
        return answer
