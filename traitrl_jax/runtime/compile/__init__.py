"""Programs compiled ahead of time for TPU slices, on a machine without one: the slice, what a program costs, and how fast the
chips could be."""
