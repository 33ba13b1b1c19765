"""How good the answers are: the metrics, how answers are scored, and what the report says about them."""
