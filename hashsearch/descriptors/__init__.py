"""What the hash codes are compared with: older ways to tell that two images look alike."""
