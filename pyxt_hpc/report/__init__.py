"""The report: everything about a cluster on one page that needs no network and no other file."""
