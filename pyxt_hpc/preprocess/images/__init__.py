"""Images and pictures that the stages leave for people."""
