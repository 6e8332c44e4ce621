"""Digital patients: anatomy, disease, MR signal, scanners, cohorts."""
