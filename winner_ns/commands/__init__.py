"""`winner-ns`, a file for each of its commands; what is heavy is imported by the command that needs it."""
