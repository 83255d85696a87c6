"""Speed and memory against a peer or a floor in the same run: `make bench`."""
