"""A store behind a server: what the server's HTTP interface offers of it."""
