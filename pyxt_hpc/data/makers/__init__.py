"""Programs that make the tables from what others have measured and published."""
