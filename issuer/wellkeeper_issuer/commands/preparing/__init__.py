"""The parts of `wellkeeper prepare`: options, volumes, program files, settings, and its report."""
