"""How a bundle reads its networks: weights of the evidence and cuts, fitted on a cohort."""
