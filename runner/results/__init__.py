"""What a host is told, and what is kept of it."""
