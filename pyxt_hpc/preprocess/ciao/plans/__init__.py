"""What CIAO is asked, step by step: pure functions of paths and header facts that give calls."""
