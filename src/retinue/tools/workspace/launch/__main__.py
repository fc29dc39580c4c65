"""Started by the server as a script, with the number of the descriptor on which the job comes."""

import json
import socket
import sys
from pathlib import Path

# Last, so that nothing beside the package stands in for a module of Python's.
sys.path.append(str(Path(__file__).resolve().parents[4]))

from retinue.tools.workspace.launch.supervisor import Supervisor


def _main() -> None:
    server = socket.socket(fileno=int(sys.argv[1]))
    with server.makefile("rb") as file:
        job = json.loads(file.readline())
    Supervisor(server, job).run()


if __name__ == "__main__":
    _main()
