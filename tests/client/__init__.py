"""The client against a real responder in this process."""
