"""The whole HTTP contract against `retinue serve`, on both databases."""
