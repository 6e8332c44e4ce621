"""Studies made with the package; each is a folder of its own, and no part of the wheel."""
