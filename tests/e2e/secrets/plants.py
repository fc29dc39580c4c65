"""A tenant in whose every field stands something that is to be found nowhere else, and that has used all of it."""

from secrets import token_hex
from uuid import UUID

from retinue.domain.conversations import Conversation
from tests.e2e.streams.talk import eventually
from tests.e2e.tools.passwords import asked_for_password
from tests.e2e.tools.sudo import FakeSudo
from tests.e2e.tools.work import Office, decide, pause, wish, with_password
from tests.support.client import RetinueClient
from tests.support.upstream import says
from tests.support.upstream.scenario import refusal

PLANTED = 0


class Canaries:
    """Makes unique words, and knows which of them must never be seen at all."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}
        self.secret: set[str] = set()

    def make(self, name: str, *, is_secret: bool = False) -> str:
        """A word of small letters and digits that fits every field."""
        word = self.of.setdefault(name, f"canary{token_hex(9)}")
        if is_secret:
            self.secret.add(name)
        return word

    def note(self, name: str, secret: str) -> str:
        """A secret that the server has made itself."""
        self.of[name] = secret
        self.secret.add(name)
        return secret


class Plantation:
    """What was planted where, and what a deletion has to reach."""

    def __init__(self, office: Office, sudo: FakeSudo) -> None:
        self.office, self.sudo, self.canaries = office, sudo, Canaries()
        self.tenant = UUID(int=0)
        self.slug = f"slug-{token_hex(6)}"
        """The operator's own word for a tenant, which the operator's own trail keeps."""

    async def plant(self) -> None:
        make, client = self.canaries.make, self.office.client
        body, headers = {"name": make("tenant name"), "slug": self.slug}, {"idempotency-key": token_hex(9)}
        made = (await client.call("POST", "/tenants", body, headers=headers)).expect(201)
        self.tenant = UUID(made.json["id"])
        await self._configure()
        await self._bound()
        employee = await client.create_employee(
            self.tenant,
            name=make("employee name"),
            role=make("role"),
            system_prompt=make("prompt"),
            slug=make("employee slug"),
            persona={"tone": make("tone")},
            labels=[make("label")],
            capabilities=[make("capability")],
            tools=["shell_exec_safe", "file_read"],
            permission="write",
        )
        fields = {"title": make("title"), "external_id": make("external id"), "user_id": make("user id")}
        conversation = await client.create_conversation(self.tenant, employee.id, **fields)
        await self._talk(conversation.id)
        await self._use_tools(conversation)
        await self._fail(conversation.id)
        alerts = await client.get(f"/audit?tenant_id={self.tenant}&action=budget.alerted")
        assert alerts.expect(200).json[0]["payload"]["subject_id"] == make("user id")

    async def _configure(self) -> None:
        make, client, upstream = self.canaries.make, self.office.client, self.office.upstream
        secret = make("provider key", is_secret=True)
        await client.configure(
            self.tenant, "openai", make("model name"), llm_base_url=upstream.openai_url, llm_api_key=secret
        )
        named = {"name": make("key name"), "role": "admin"}
        key = (await client.post(f"/tenants/{self.tenant}/api-keys", named)).expect(201).json["key"]
        self.canaries.note("tenant's key", key)
        origins = {"origins": [f"https://{make('origin')}.example.com"]}
        (await client.put(f"/tenants/{self.tenant}/origins", origins)).expect(200)
        self._own = RetinueClient(client.address, key)
        scopes = ["conversations:read", "conversations:write", "approvals:read", "approvals:decide"]
        wanted = {"user_id": make("user id"), "scopes": scopes}
        token = (await self._own.post(f"/tenants/{self.tenant}/user-tokens", wanted)).expect(201).json["token"]
        self._user = RetinueClient(client.address, self.canaries.note("user token", token))

    async def _bound(self) -> None:
        """A budget of somebody that is spent at once, and tells so."""
        make, path = self.canaries.make, f"/tenants/{self.tenant}"
        price = {"provider": "openai", "model": make("model name"), "input_price": 1_000_000, "output_price": 1_000_000}
        (await self._own.put(f"{path}/prices", {"prices": [price]})).expect(200)
        bound = {"subject": "user", "subject_id": make("user id"), "period": "day", "limit_micros": 1}
        (await self._own.post(f"{path}/budgets", {**bound, "soft_percent": 1, "hard_stop": False})).expect(201)

    async def _talk(self, conversation: UUID) -> None:
        make = self.canaries.make
        self.office.upstream.enqueue(says(make("answer")))
        headers = {"idempotency-key": make("idempotency key")}
        body = {"content": make("message"), "respond": True}
        (await self._user.call("POST", f"/conversations/{conversation}/messages", body, headers=headers)).expect(200)

    async def _use_tools(self, conversation: Conversation) -> None:
        make, office = self.canaries.make, Office(self.office.server, self._user, self.office.upstream)
        stop = await pause(office, conversation, wish("shell_exec_safe", command=f"touch {make('file name')}"))
        office.upstream.enqueue(says("Touched."))
        (await decide(self._user, stop.approval, comment=make("comment"))).expect(200)
        await self._ended(stop.run)
        secret = self.canaries.note("password", self.sudo.password())
        asked = await asked_for_password(office, conversation, f"sudo echo {make('result')}")
        office.upstream.enqueue(says("Done."))
        await with_password(self._user, asked.run, asked.approval, secret)

    async def _ended(self, run: str) -> None:
        async def probe() -> bool | None:
            return (await self._user.get(f"/runs/{run}")).expect(200).json["status"] == "completed" or None

        await eventually(probe)

    async def _fail(self, conversation: UUID) -> None:
        """A provider that refuses, and repeats what it was sent."""
        make = self.canaries.make
        body = f"{make('provider key')} {make('what the provider says', is_secret=True)}"
        self.office.upstream.enqueue(refusal(401, body=body, content_type="text/plain"))
        answer = await self._own.ask(conversation, make("message that failed"))
        assert answer.end["status"] == "failed"
