"""Programs that are measured against, and the model provider of all of them."""
