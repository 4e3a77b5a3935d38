"""The responder: answer ACME http-01 challenges behind nginx, from memory."""
