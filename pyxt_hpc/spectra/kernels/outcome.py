"""Flags of a fit as bits, and the positions of its numbers in a result.

Commands that only read results import this module, which needs no compiler.
"""

# Flags of a fit as bits, named by `fit.FitFlag`.
AT_BOUND_LOW, AT_BOUND_HIGH, KT_LO_OPEN, KT_HI_OPEN = 1, 2, 4, 8
NORM_LO_OPEN, NORM_HI_OPEN, NO_COUNTS, FAILED, TWO_MINIMA = 16, 32, 64, 128, 256
ABUNDANCE_AT_BOUND, ABUNDANCE_LO_OPEN, ABUNDANCE_HI_OPEN = 1 << 9, 1 << 10, 1 << 11
NH_AT_BOUND, NH_LO_OPEN, NH_HI_OPEN = 1 << 12, 1 << 13, 1 << 14

# Places in the numbers of a result: best value, followed by its lower and its upper end.
R_KT, R_NORM, R_ABUNDANCE, R_NH, R_STATISTIC, N_NUMBERS = 0, 3, 6, 9, 12, 13
