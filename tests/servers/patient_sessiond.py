"""`sessiond` with stores that wait for a busy server as long as a test may; `tests.server_process` runs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from sessiond.cli import main
from tests.servers.patience import ForGood, be_patient

if __name__ == "__main__":
    be_patient(ForGood(), os.environ.get("SESSIOND_DATABASE", ""))
    sys.argv[0] = "sessiond"
    main()
