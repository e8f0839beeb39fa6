"""The score of the tests: `python -m scripts.mutation`."""
