"""Entry point of `tradingsignals` and `python -m tradingsignals_server`."""

from __future__ import annotations

import signal


def main() -> None:
    """Load the command line and run it."""
    # A KeyboardInterrupt can be lost while modules load: in a callback of the interpreter it is printed and ignored,
    # and the service would start in spite of Ctrl-C. Until the command installs its handlers there is nothing to clean
    # up, so the default action of the signal may end the process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from .cli.main import main as command_line

    command_line()


if __name__ == "__main__":
    main()
