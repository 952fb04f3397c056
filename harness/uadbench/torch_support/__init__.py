"""What plugins built on torch share. Each module imports torch when it is itself imported, and nothing imports them here."""
