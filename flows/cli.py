"""`assay`, the command line. Exit status: 0 ok, 1 a run failed, 2 a mistake with one clear message.

Whatever is slow to load (prefect, pandas, the image code) is imported by the command that needs it.
"""

import os
import signal
import sys
from importlib import import_module

from assets.errors import AssayError
from flows.commands.app import app

_FILES = (
    "chain",
    "refreshing",
    "serving",
    "results",
    "tracing",
    "reproducing",
    "provenance",
    "scoring",
    "auditing",
    "exporting",
    "timing",
    "catalogue",
    "pictures",
)
"""Which register their commands, in this order."""
for _file in _FILES:
    import_module(f"flows.commands.{_file}")


def main() -> None:
    """Run the command line; turn a user's mistake into one message and status 2."""
    signal.signal(signal.SIGTERM, _end)
    try:
        app()
    except AssayError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `assay table | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
