//! What each command does.

pub mod bench;
pub mod check;
pub mod models;
pub mod run;
