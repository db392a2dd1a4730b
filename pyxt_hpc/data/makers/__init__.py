"""Programs that make the tables from published data."""
