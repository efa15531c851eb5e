"""`python -m tillroll` is the command `tillroll`."""

import gc
from typing import Final

# Objects after which Python looks for garbage: more than a command loads, which stays. Rows by the thousand are in no
# cycle either.
_COLLECTED_AFTER: Final = 50_000


def main() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(_COLLECTED_AFTER)
    from tillroll.cli.main import main as run  # noqa: PLC0415 what is loaded before that is looked through in vain

    run()


if __name__ == "__main__":
    main()
