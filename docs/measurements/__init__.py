"""Scripts behind the tables of the documentation; run from the repository's root, not part of the package."""
