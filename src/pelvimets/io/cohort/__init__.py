"""A cohort on disk: its table, its patients' folders, its splits."""
