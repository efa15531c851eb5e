"""The HTTP server: parse a request, call one use case, write the answer."""
