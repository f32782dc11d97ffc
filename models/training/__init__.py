"""Training of the shipped policies: `make train DATA=bars.csv`. See models/README.md."""
