"""Makes the objects from the settings; the only place that does."""
