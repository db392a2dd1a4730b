"""Calls of CIAO: pure functions of paths and header values that return calls."""
