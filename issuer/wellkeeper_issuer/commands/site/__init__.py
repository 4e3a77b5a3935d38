"""The status page: HTML for people, made from what `status`, `why` and `history` print. It needs no JavaScript."""
