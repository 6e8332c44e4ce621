"""The edge: DICOM, NIfTI, cohorts and run records on disk and on the network."""
