"""How long each endpoint takes on a large table, and which index its page is found by."""
