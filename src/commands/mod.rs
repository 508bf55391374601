//! What each command does.

pub mod bench;
pub mod check;
pub mod doctor;
pub mod eval;
pub mod models;
pub mod run;
pub mod serve;
pub mod tune;
