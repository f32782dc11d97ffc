"""The schema, as numbered SQL files, each applied once and in order."""
