"""How the cost of answering grows with its work: docs/growth.md."""
