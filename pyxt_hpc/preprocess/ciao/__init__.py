"""Stages 1 to 3 with CIAO: its installation, the plans of calls, their execution and their failures."""
