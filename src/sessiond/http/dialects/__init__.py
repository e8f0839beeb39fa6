"""One file (or package) per API surface. Each offers `dialect(...)`; adding one touches nothing else."""
