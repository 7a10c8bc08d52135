"""The bench of the wait: recorded conversations, replayed through the functions that decide in the product."""
