"""Conversations in each state that matters, of one user with one employee."""

from typing import Any

from retinue.proving.doing import Doer
from retinue.proving.exchange import ProvingFailed
from retinue.proving.grounds import Corner
from retinue.proving.things import Things, new_word

TOOL = "generate_coupon"
"""Changes something, so that somebody has to allow it; and there is nothing outside of Retinue that it changes."""
_CONVERSATIONS = 5


async def make_corner(admin: Doer, *, user: str, employee: str) -> Corner:
    """One conversation that was answered twice, two in which an answer waits, one in which a call was denied, and one
    that is closed.

    Raises:
        ProvingFailed.
    """
    word = new_word()
    begin = {"employee_id": employee, "user_id": user, "title": f"{word} title"}
    talk, counter, queue, denied, closed = [
        (await admin.post("/conversations", {**begin, "external_id": f"{word}-{number}"}))["id"]
        for number in range(_CONVERSATIONS)
    ]
    run, _ = [await _answered(admin, talk, f"Where is order 1042? {word}") for _ in range(2)]
    await admin.post(f"/conversations/{talk}/messages", {"content": f"{word} Thanks."})
    pending, _ = [await _asked(admin, conversation, word) for conversation in (counter, queue)]
    decided = await _asked(admin, denied, word)
    body = {"approval_id": decided["approval_id"], "approved": False, "comment": f"{word} No."}
    await admin.follow(f"/runs/{decided['run_id']}/continue/stream", body)
    await admin.patch(f"/conversations/{closed}", {"status": "closed"})
    waiting = pending["run_id"]
    things = Things(
        user=(user,),
        external=(f"{word}-0",),
        conversation=(talk, counter, closed),
        closed=(closed,),
        run=(run, waiting, decided["run_id"]),
        waiting=(waiting,),
        approval=(pending["approval_id"], decided["approval_id"]),
        call=(pending["tool_call_id"],),
        event=(f"{run}:1-1", f"{waiting}:1-1", f"{talk}:0-0"),
    )
    return Corner(things=things, word=word)


async def _answered(admin: Doer, conversation: str, content: str) -> str:
    answer = await admin.post(f"/conversations/{conversation}/messages", {"content": content, "respond": True})
    run: str = answer["run_id"]
    return run


async def _asked(admin: Doer, conversation: str, word: str) -> Any:
    """The approval that an answer waits for."""
    body = {"content": f"A coupon of 10%, {word}", "respond": True}
    answer = await admin.post(f"/conversations/{conversation}/messages", body)
    if not answer.get("approvals"):
        raise ProvingFailed(f"An answer was to wait for somebody who allows {TOOL}, and does not: {answer['status']}")
    return answer["approvals"][0]
