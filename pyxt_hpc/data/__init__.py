"""Tables shipped with the package, and their makers; SOURCES.md names where each comes from."""
