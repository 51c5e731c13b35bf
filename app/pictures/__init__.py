"""Pictures too large for a request: kept until they are painted and fetched, an hour at most."""
