"""Region results painted on the sky."""
