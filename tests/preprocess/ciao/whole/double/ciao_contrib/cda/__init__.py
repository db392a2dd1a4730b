"""A double of CIAO's package of this name, for tests only: see `ciao_double`."""
