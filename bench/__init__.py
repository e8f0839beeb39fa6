"""The bench: sessiond beside what one would use instead, and beside the limit that nginx sets. `make bench`."""
