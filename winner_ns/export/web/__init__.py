"""Fields as web pages: one file that needs no network, and evaluates a field in the browser that opens it."""
