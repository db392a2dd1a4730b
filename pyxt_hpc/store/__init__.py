"""The results store: what is fitted, row by row, through any kill."""
