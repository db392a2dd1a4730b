"""Safe reading and writing of files: completely, or with an error."""
