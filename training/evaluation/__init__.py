"""How good the answers are: the metrics, how labels are judged with them, and what the report says of them."""
