"""The viewer as a user meets it: the real commands, a real browser, and what is on its screen."""
