"""Runs op-level vectors recorded from a device or a vendor simulator against the simulator of a target."""
