"""Messages of a conversation, and the answers to them."""
