"""What stages are handed: the Protocols behind which the outside world is reached, by topic.

Every call raises errors of `errors` only. Everything is cancellable; what has to be undone is undone by the
caller, unless a contract says otherwise.
"""
