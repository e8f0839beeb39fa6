"""The rules, pure: no I/O, no clock, no randomness. What happens is decided here, once."""
