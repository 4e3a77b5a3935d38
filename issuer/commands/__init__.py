"""One file a command of wellkeeper-issuer; build.py makes the objects."""
