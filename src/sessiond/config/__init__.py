"""Configuration: one file, the environment and the command line become one frozen `Settings`."""
