"""Files for DS9: regions in the colours of a map, and maps side by side."""
