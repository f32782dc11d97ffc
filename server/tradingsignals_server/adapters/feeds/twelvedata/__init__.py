"""FEED=twelvedata: polls the REST API of Twelve Data. `kind` is its declaration."""
