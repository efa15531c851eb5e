"""`python -m tillroll` is the command `tillroll`."""

from tillroll.cli.main import main

if __name__ == "__main__":
    main()
