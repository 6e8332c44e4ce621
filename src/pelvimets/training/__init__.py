"""Training samples, the training loop and the hyperparameter search."""
