"""NIfTI files: volumes, studies, and folders of annotated images."""
