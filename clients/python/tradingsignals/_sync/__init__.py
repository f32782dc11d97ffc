"""The client for programs without asyncio. All but `calls` is generated from `_async`."""
