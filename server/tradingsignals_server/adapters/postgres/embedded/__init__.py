"""The embedded PostgreSQL: its programs, its cluster under the data folder, its process and its databases."""
