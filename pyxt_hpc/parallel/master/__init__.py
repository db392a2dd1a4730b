"""The master: it decides when each item is handed out, and keeps account of results and failures."""
