"""One function for each supported operation, named after it."""
