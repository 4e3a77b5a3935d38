"""Account keys: their files, their accounts, and the responders pinned to them."""
