"""What each served operation does, by its name."""
