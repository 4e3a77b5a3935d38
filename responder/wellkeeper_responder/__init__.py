"""The responder: answers ACME http-01 challenges behind nginx, from memory."""
