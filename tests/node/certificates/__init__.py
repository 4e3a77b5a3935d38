"""`certificates_dir` on a real disk."""
