"""What a command would do, told from its text alone. Nothing here runs or opens anything."""
