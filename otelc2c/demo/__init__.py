"""The sample application of the README, the tests and the composition."""
