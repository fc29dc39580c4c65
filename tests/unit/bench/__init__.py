"""What could make the benchmark lie without anybody noticing."""
