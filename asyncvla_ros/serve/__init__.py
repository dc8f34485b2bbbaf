"""Remote inference: a server of msgpack over WebSockets, and its client."""
