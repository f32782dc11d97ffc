"""The event log on its way to followers: live, catching up, replayed, pruned."""
