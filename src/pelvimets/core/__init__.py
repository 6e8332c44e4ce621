"""Pure parts of the main path: geometry, intensity, lesions, findings. No files, no torch."""
