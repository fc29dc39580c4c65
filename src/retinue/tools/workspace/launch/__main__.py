"""Started by the server as a script, with the number of the descriptor on which the job comes.

Or with the word `probe`: whether processes can be started here for which no others exist.
"""

import json
import socket
import sys
from pathlib import Path

# Last, so that nothing beside the package stands in for a module of Python's.
sys.path.append(str(Path(__file__).resolve().parents[4]))

from retinue.tools.workspace.launch import first
from retinue.tools.workspace.launch.supervisor import Supervisor


def _main() -> None:
    if sys.argv[1] == "probe":
        sys.exit(0 if first.count_processes_anew(may_get_rights=False) else 1)
    server = socket.socket(fileno=int(sys.argv[1]))
    with server.makefile("rb") as file:
        job = json.loads(file.readline())
    Supervisor(server, job).run()


if __name__ == "__main__":
    _main()
