"""Hand-crafted image descriptors: perceptual hashes, keypoints with their matching and words, colour histograms."""
