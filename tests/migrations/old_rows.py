"""Rows as version 0001 writes them."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db.tables import Base
from retinue.domain.ids import new_id
from tests.contract.repositories.builders import NOON

_STAMPS = {"created_at": NOON, "updated_at": NOON}


class OldRows:
    """A tenant with an employee and three conversations, ready for runs."""

    def __init__(self) -> None:
        self.tenant, self.employee = new_id(), new_id()
        self.conversations = [new_id() for _ in range(3)]
        self._rows: dict[str, list[dict[str, Any]]] = {
            "tenants": [{"id": self.tenant, "name": "Acme", "slug": "acme", **_STAMPS}],
            "employees": [self._employee()],
            "conversations": [self._conversation(id_) for id_ in self.conversations],
            "messages": [],
            "runs": [],
            "run_events": [],
            "tool_calls": [],
        }

    def add_run(self, conversation: UUID, *, position: int, status: str, step: int | None = 1) -> UUID:
        """A run with its question at a position, an event and a tool call."""
        run_id, question = new_id(), new_id()
        place = {"tenant_id": self.tenant, "conversation_id": conversation}
        of_run = {"tenant_id": self.tenant, "run_id": run_id}
        is_over = status not in {"queued", "running", "waiting"}
        self._rows["messages"].append(
            {
                **place,
                **_STAMPS,
                "id": question,
                "position": position,
                "role": "user",
                "content": "hi",
                "status": "completed",
                "tool_log": (),
                "details": {},
            }
        )
        self._rows["runs"].append(
            {
                **place,
                "id": run_id,
                "employee_id": self.employee,
                "user_message_id": question,
                "message_id": new_id(),
                "status": status,
                "attempt": 1,
                "created_at": NOON,
                "finished_at": NOON if is_over else None,
            }
        )
        event = b'[[0,{"type":"step.started","step":1}]]'
        self._rows["run_events"].append({**of_run, "attempt": 1, "first_seq": 1, "last_seq": 1, "payload": event})
        self._rows["tool_calls"].append(
            {
                **of_run,
                "position": 1,
                "step": step,
                "call_id": "c",
                "name": "search",
                "arguments": '{"q":1}',
                "status": "succeeded",
                "duration_ms": 1,
                "started_at": NOON,
                "finished_at": NOON,
            }
        )
        return run_id

    def store(self, connection: sa.Connection) -> None:
        for table, rows in self._rows.items():
            connection.execute(sa.insert(Base.metadata.tables[table]), rows)

    def _employee(self) -> dict[str, Any]:
        return {
            **_STAMPS,
            **dict.fromkeys(("slug", "name", "role", "system_prompt"), "ada"),
            "persona": {},
            "model_settings": {},
            **dict.fromkeys(("tools", "capabilities", "labels"), ()),
            "tenant_id": self.tenant,
            "id": self.employee,
            "permission": "read",
            "chat_listen": "all",
            "task_listen": "all",
        }

    def _conversation(self, id_: UUID) -> dict[str, Any]:
        return {
            **_STAMPS,
            "tenant_id": self.tenant,
            "id": id_,
            "employee_id": self.employee,
            "user_id": "u",
            "status": "active",
            "message_count": 9,
        }
