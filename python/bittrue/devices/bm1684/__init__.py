"""BM1684: command streams, disassembly, simulation, traces and profiles. The machine is in csrc/devices/bm1684."""
