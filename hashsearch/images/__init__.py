"""Image bytes: where they come from, how they become checked RGB arrays."""
