"""Training the bundled network: photos and their views (data), the teacher, losses, fitting."""
