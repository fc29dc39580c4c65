"""What the parts of the demo agree on."""

SLUG = "demo"
QUESTION = "Where is order 1042? And please give me a coupon of 15%."
"""The first half is looked up at once, the second half needs an approval. Can be asked again and again."""
