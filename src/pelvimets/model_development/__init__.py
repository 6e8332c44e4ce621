"""From a cohort to a bundle: samples, runs, folds, searches, then bundle, calibration and card."""
