"""What is on disk: images, truth, predictions, results and submissions, each with its layout and digests."""
