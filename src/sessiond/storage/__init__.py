"""Where records lie: engines behind the port of `services.ports`, the batching and the cache that they share."""
