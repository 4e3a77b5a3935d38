"""Account keys: their files, their accounts, and the responders that are pinned to them."""
