"""How the shipped policies are trained: `make train DATA=bars.csv`. See models/README.md."""
