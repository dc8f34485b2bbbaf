"""Policies for programs elsewhere: a server of msgpack over WebSockets, and its client."""
