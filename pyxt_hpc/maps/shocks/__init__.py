"""Search for shock fronts, and its maps."""
