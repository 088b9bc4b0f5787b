"""Waiting from an event loop. Nothing here is imported before the first wait, since asyncio takes long to import."""
