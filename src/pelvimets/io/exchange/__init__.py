"""Layouts of other tools: nnU-Net, MONAI."""
