"""What a gateway adds to a request, beside peers: same upstream, same load, one worker each, pinned."""
