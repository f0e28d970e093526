"""``python -m labkit``: see `labkit.command_line`."""

import sys

from labkit.command_line import main

if __name__ == "__main__":
    sys.exit(main())
