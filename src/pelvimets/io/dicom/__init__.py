"""DICOM in and out: series, pixels and headers read; SEG, SR and PDF written."""
