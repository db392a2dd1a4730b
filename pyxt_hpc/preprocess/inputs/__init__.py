"""Files that people, CIAO and the archive supply: finding, reading and interpreting them."""
