"""Tools: what employees can be given."""
