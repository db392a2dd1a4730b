"""Scripts for batch systems: what a site wants, the text of a script, its submission."""
