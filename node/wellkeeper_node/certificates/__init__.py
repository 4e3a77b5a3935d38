"""The `certificates_dir`: archive/ and live/."""
