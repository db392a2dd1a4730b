"""The stages in their order, and their summaries."""
