"""Keep the pauses of the daemon's event loop short while threads work, whatever the number of certificates."""

import gc
import sys
from typing import Final

# A collection of 20 000 objects takes up to 6 ms; a reading of 10 000 certificates makes 100 000, none of them garbage.
MOST_YOUNG_OBJECTS: Final = 20_000
_YOUNGEST: Final = 5_000
# Python collects the middle generation, with the youngest, once the latter was collected more often than this.
_MIDDLE: Final = MOST_YOUNG_OBJECTS // _YOUNGEST - 2
# The oldest generation has all objects, which takes 33 ms: it is collected about once a day with 10 000 certificates.
_OLDEST: Final = 5_000
# A request may wait this long for a busy thread at each of its system calls. (Python's default is 5 ms.)
_SWITCH_SECONDS: Final = 0.0002


def keep_pauses_short() -> None:
    """Collect garbage in small steps, without what is loaded so far, and switch between threads often."""
    gc.freeze()
    gc.set_threshold(_YOUNGEST, _MIDDLE, _OLDEST)
    sys.setswitchinterval(_SWITCH_SECONDS)
