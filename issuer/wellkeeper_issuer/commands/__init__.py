"""The commands of wellkeeper, one file per command; `assembly` makes the objects."""

import atexit
import gc

# Nearly all objects from the start and the settings stay alive, and scanning them again and again for garbage takes a
# sixth of a run that has nothing to do. (Python's default is 700.)
gc.set_threshold(50_000)
# Skip the collection at exit, too, when the memory is freed anyway: it took 40 ms, another sixth of such a run.
atexit.register(gc.freeze)
