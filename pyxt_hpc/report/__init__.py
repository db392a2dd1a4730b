"""The report: everything about a cluster on one HTML page, which needs no network and no other file."""
