//! Random histories of the small world, with crashes between any two steps.

