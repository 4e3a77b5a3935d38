"""Around a renewal: when it is due, which CA is asked, who shares a reload, what follows, how all stands."""
