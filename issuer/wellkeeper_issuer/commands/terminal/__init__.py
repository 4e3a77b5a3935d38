"""Options, progress and tables that commands share."""
