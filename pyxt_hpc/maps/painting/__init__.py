"""How values of regions become values of pixels."""
