"""The parts of `wellkeeper setup`: questions, what it writes, its report, and waiting for nginx."""
