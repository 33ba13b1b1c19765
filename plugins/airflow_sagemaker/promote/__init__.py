"""From a trained model to the one in use: what is registered, how it is judged, and the calls that do it."""
