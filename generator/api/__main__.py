"""``python -m shiftforge``: the command line."""

from shiftforge.entry import main

if __name__ == "__main__":
    main()
