"""What the application needs of the outside world. Adapters implement these; the application knows no other way out."""
