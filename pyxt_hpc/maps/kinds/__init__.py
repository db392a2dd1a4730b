"""Kinds of maps: what each shows, and of what it is made."""
