"""Keep the questions of training, validation and tests apart."""
