"""Tools that change something, while everything around them dies: each effect at most once, and nobody is lied to."""
