"""Where pixels are put: one segment of slots, and who may use which."""
