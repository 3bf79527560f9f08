"""What a terminal is told of a flow that fails or is stopped."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from flows.commands.app import ROOT


@contextmanager
def recorded_run(go_on: str) -> Iterator[None]:
    """Have a server for a flow that is run inside; end the program with status 1 if it fails, 130 or 143 if
    it is stopped. `go_on` says how to go on then.
    """
    from flows.serving.temporary import recorded

    with recorded(ROOT):
        from flows.benchmark import RunFailed, TerminationSignal

        try:
            yield
        except RunFailed as failed:
            print(f"\n{failed}", file=sys.stderr)
            sys.exit(1)
        except (KeyboardInterrupt, TerminationSignal) as ended:
            print(f"\nstopped; {go_on}", file=sys.stderr)
            sys.exit(130 if isinstance(ended, KeyboardInterrupt) else 143)
