"""Images: read from files and addresses, decoded to checked RGB arrays."""
