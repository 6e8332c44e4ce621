"""What is measured on masks and scores: voxels, lesions, patients."""
