//! A world in memory with faults and a clock turned by hand; the adapter contract suite.
