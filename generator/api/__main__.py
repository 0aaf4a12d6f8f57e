"""``python -m shiftforge``: the command line."""

from __future__ import annotations

from shiftforge.cli.main import main

if __name__ == "__main__":
    main()
