"""The embedded data set: handwritten and spoken digits, and questions of known evidence."""
