"""One file a command of wellkeeper; build.py makes the objects."""

import atexit
import gc

# Nearly all that is loaded at the start or read from the settings stays, and to look for garbage in it again and again
# costs a sixth of a run that has nothing to do. (Python's own is 700.)
gc.set_threshold(50_000)
# Nor is it looked for at the end, which gives back everything anyhow: that took 40 ms, a sixth of such a run again.
atexit.register(gc.freeze)
