"""Where the journal and the aggregates are kept: a file for each technology."""
