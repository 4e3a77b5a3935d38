"""What commands share: options, progress, tables."""
