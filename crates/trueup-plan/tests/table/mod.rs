//! Tables: a world in words, and what is decided about it in words.

mod audited;
mod bakes;
mod canaries;
mod commands;
mod crashed;
mod drift;
mod further;
mod hooks;
mod modelled;
mod orders;
mod permits;
mod refused;
mod restored;
mod rollbacks;
mod seeded;
mod verdicts;
