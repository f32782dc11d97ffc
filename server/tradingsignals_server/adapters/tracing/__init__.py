"""Traces by OpenTelemetry. Imported only if they are exported."""
