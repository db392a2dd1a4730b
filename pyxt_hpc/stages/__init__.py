"""Stage drivers: bundle, executor, store."""
