"""Synthetic clusters observed by a synthetic ACIS-I, written as level-2 event files."""
