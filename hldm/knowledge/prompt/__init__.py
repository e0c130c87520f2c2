"""From free text to a record."""
