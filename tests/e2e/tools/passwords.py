"""Runs that wait for a password, and where somebody could find it afterwards."""

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from retinue.domain.conversations import Conversation
from tests.e2e.tools.shelves import everything
from tests.e2e.tools.work import Office, Pause, continued, pause, paused, wish
from tests.support.sse import EventStream


async def asked_for_password(office: Office, conversation: Conversation, command: str) -> Pause:
    """A run that waits for the password of an approved command."""
    stop = await pause(office, conversation, wish("shell_exec_safe", command=command))
    [asked] = stop.answer.of("tool_approval_requested")
    assert asked["risk_level"] == "high"
    rest = await continued(office.client, stop.run, stop.approval, approved=True)
    again = paused(rest, "waiting_for_password")
    [request] = rest.of("tool_password_requested")
    assert (request["approval_id"], request["tool"], request["tries_left"]) == (stop.approval, "shell_exec_safe", 3)
    assert again.approvals == stop.approvals
    assert not rest.of("tool_call_finished")
    return again


def traces(secret: str) -> list[str]:
    """The text, and what anybody could make of it who kept it or wanted to guess it."""
    raw = secret.encode()
    return [secret, raw.hex(), b64encode(raw).decode().rstrip("="), sha256(raw).hexdigest(), secret[::-1]]


def found_in(text: str, secrets: Iterable[str]) -> list[str]:
    return [trace for secret in secrets for trace in traces(secret) if trace in text]


class Search:
    """Looks for passwords wherever something may have been left behind."""

    def __init__(self, office: Office, workspaces: Path) -> None:
        self._office, self._workspaces = office, workspaces
        self.streams: list[EventStream] = []
        self.told: list[str] = []

    async def finds(self, tenant: object, run: str, *secrets: str) -> dict[str, list[str]]:
        client, server = self._office.client, self._office.server
        places = {f"table {name}": text for name, text in (await everything(server)).items()}
        for path in (f"/audit?tenant_id={tenant}", f"/audit/commands?tenant_id={tenant}", f"/runs/{run}/events"):
            places[path] = (await client.get(path)).expect(200).body.decode()
        places["log"] = server.output
        places["streams"] = b"".join(one.raw for stream in self.streams for one in stream.seen).decode() + "".join(
            self.told
        )
        places["model"] = "".join(request.raw_body.decode() for request in self._office.upstream.requests)
        for folder in (server.folder, self._workspaces):
            for file in (one for one in folder.rglob("*") if one.is_file()):
                places[f"file {file.name}"] = file.read_bytes().decode("latin-1")
        assert places["log"], "there is a log, or this proves nothing"
        assert run.replace("-", "") in "".join(places.values()).replace("-", "")
        return {name: found for name, text in places.items() if (found := found_in(text, secrets))}
