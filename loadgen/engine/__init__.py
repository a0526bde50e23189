"""Asyncio: one shard of the fleet in one process."""
