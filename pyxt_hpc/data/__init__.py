"""Tables of the package and the programs that make them; SOURCES.md gives the source of each table."""
