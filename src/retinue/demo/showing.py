"""What is printed for people to copy."""

from retinue.demo.seeding import Seed
from retinue.demo.words import QUESTION


def banner(url: str, seed: Seed | None, *, is_open: bool) -> str:
    """What `serve` prints once it listens: where, and lines to copy."""
    lines = [f"Retinue listens on {url}"]
    if is_open:
        lines.append("Open mode: nobody is asked for a key. Set RETINUE_OPERATOR_KEY to close it.")
    if seed is not None:
        header = "" if is_open else ' -H "Authorization: Bearer $RETINUE_OPERATOR_KEY"'
        api = f"{url}/api/v1"
        messages = f"{api}/conversations/{seed.conversation_id}/messages"
        json = "-H 'Content-Type: application/json' -d"
        lines += [
            f"{seed.employee}, an employee of the tenant demo, answers with {seed.model} ({seed.provider}). Ask her:",
            "",
            f"  curl -N{header} {messages}/stream \\",
            f"""    {json} '{{"content": "{QUESTION}"}}'""",
            "",
            "What changes something waits for you. See what is asked, allow it (or `deny`), and let the run go on:",
            "",
            f"  curl{header} '{api}/approvals/pending?tenant_id={seed.tenant_id}'",
            f"  curl -X POST{header} {api}/approvals/<approval_id>/allow_once",
            f"""  curl -N{header} {api}/runs/<run_id>/continue/stream {json} '{{"approval_id": "<approval_id>"}}'""",
            "",
            "And read what was said:",
            "",
            f"  curl{header} {messages}",
            "",
        ]
    return "\n".join(lines)
