"""How a run, its answer and a call end."""

from retinue.db.repositories.ledger import CallEnd
from retinue.db.repositories.messages import AnswerEnd
from retinue.db.repositories.runs import RunEnd
from retinue.domain.messages import MessageStatus
from retinue.domain.runs import CallOutcome, RunStatus
from tests.contract.repositories.builders import LATER

ANSWER_END: AnswerEnd = {
    "content": "stolen",
    "reasoning": None,
    "status": MessageStatus.COMPLETED,
    "finish_reason": None,
    "error_code": None,
    "tool_log": (),
    "usage": None,
    "cost": None,
    "metadata": {},
    "at": LATER,
}
RUN_END: RunEnd = {
    "status": RunStatus.FAILED,
    "finish_reason": None,
    "error_code": None,
    "usage": None,
    "cost": None,
    "generation_stats": None,
    "event_count": None,
    "text_sha256": None,
    "at": LATER,
}
CALL_END: CallEnd = {
    "outcome": CallOutcome.FAILED,
    "usage": None,
    "cost": None,
    "error_code": None,
    "at": LATER,
}
