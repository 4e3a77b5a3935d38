"""The test stand: real nginx, real ACME server, real responders, started and ended cleanly; not part of the wheel."""
