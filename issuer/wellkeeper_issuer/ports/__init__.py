"""The Protocols through which stages reach the outside world, by topic.

Every call raises only errors of `errors`. Everything is cancellable; the caller cleans up unless a contract says
otherwise.
"""
