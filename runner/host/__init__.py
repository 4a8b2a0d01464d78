"""Where hosts ask: the listener, one link per connection, and a blocking client for Python hosts."""
