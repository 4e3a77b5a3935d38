"""One file a command of wellkeeper-issuer; build.py makes the objects."""

import gc

# Nearly all that is loaded at the start or read from the settings stays, and to look for garbage in it again and again
# costs a sixth of a run that has nothing to do. (Python's own is 700.)
gc.set_threshold(50_000)
