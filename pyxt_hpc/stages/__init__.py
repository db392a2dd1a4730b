"""Stage drivers: bundle, pool, store."""
