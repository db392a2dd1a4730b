"""Maps of the different quantities, and masks of maps."""
