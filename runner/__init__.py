"""One per station: hosts in, supervised algorithm processes out."""
