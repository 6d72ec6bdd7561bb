"""Instruction-level simulators of real chips: they run the command streams that the vendor's compilers made."""
