//! Tables: each test is a sentence about what the planner decides.

mod orders;
