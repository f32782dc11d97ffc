"""The one writer: what comes in is decided, committed, and only then told."""
