"""The pure part: what an event is, how it is counted, how a question is answered. No I/O, no clock."""
