"""Contract suites for engines, shipped; they receive the engine as an argument."""
