"""The verbs, one file per noun. Services read, decide by the domain's rules, and write one change."""
