"""A double of CIAO's module of this name, for tests only: what the archive's download tells goes to it."""

_verbosity = 0


def initialize_logger(name, verbose=0, **_):
    set_verbosity(verbose)


def set_verbosity(verbose):
    global _verbosity
    if not 0 <= verbose <= 5:
        raise ValueError(f"Invalid verbose={verbose}, must be between 0 and 5")
    _verbosity = verbose


def tell(text):
    if _verbosity >= 1:
        print(text, flush=True)
