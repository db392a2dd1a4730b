"""Consistency checks between headers, events and files before they are used."""
