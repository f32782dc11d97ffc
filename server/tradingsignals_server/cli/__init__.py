"""The command line: what commands take. What they do stands in bootstrap and in commands."""
