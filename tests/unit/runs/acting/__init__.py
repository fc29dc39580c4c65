"""Tool calls, from the model's wish to the outcome."""
