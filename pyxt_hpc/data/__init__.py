"""Tables shipped with the package; SOURCES.md names where each comes from."""
