"""Stages 1 to 3 with CIAO: what it is asked, how it is found and run, and what it said."""
