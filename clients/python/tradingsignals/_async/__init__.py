"""The client for asyncio. All but `calls` is the source from which `_sync` is generated."""
