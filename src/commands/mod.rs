//! What each command does.

pub mod check;
pub mod doctor;
pub mod models;
pub mod run;
