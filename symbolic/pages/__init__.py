"""Pages: what is said of a derivation, as blocks, and the formats that blocks are written in."""
