"""`procvision`: what an algorithm author types (spec.md §11)."""
