"""The checks of `wellkeeper doctor`: each returns findings, and changes nothing. Design: docs/design/0021-doctor.md."""
