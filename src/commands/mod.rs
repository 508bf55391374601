//! What each command does.

pub mod check;
pub mod models;
pub mod run;
