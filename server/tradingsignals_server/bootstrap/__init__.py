"""The composition root: builds all parts, starts and stops them. No other package creates them."""
