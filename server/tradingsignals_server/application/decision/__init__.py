"""From a bar to what it leads to: pure steps on the immutable state of one symbol."""
