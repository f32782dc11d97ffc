"""From a bar to its signal and its trades: pure steps on the immutable state of one symbol."""
