"""What the services are put through. Each scenario has a function from a contender to figures by their names."""
