"""The nginx of this machine: its command, its processes, its reloads."""
