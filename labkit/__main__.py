"""``python -m labkit``: see `labkit.command_line`."""

import sys

if __name__ == "__main__":
    try:
        from labkit.command_line import main
    except KeyboardInterrupt:  # imports take a moment
        print("labkit: interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(main())
