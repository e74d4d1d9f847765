"""The engine on ARM processors, without one: an emulated machine, and what is counted in it."""
