"""The master: which items are handed out when, and what becomes of them."""
