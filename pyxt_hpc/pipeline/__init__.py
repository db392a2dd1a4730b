"""The stages in their order, and what they say."""
