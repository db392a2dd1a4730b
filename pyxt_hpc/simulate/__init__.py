"""Simulated clusters observed by a simulated ACIS-I, written as level-2 event files."""
