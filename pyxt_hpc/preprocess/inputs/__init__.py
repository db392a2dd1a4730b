"""What people, CIAO and the archive supply: which files there are, and what they mean."""
