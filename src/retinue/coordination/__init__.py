"""What replicas share while a run is alive."""
