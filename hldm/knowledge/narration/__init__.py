"""From a record to text."""
