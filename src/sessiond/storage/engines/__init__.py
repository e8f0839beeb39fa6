"""One file (or package) per engine, named as its URL scheme. Engines store; they hold no rule and read no clock."""
