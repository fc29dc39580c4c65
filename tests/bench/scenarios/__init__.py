"""What the services are put through. Each scenario is a function from a contender to figures by their names."""
