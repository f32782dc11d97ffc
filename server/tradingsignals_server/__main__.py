"""Where `tradingsignals` and `python -m tradingsignals_server` begin."""

from __future__ import annotations

import signal


def main() -> None:
    """Load the command line and run it."""
    # As an exception an interrupt can be lost while modules load: one that meets a callback of the interpreter is
    # printed and forgotten, and the service starts as if nobody had pressed Ctrl-C. Until the command has handlers of
    # its own there is nothing to clear away, so the signal itself may end the process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from .cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
