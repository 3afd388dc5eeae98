"""`make demo`: a real image, sound and mesh fitted by `ns-train winner-siren`, beside a plain SIREN."""
