"""`wafleet`, and `python -m wafleet`."""

from wafleet.cli import main

if __name__ == "__main__":
    main()
