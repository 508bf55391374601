//! Many live streams in one process: added, changed and removed while others run.

pub mod events;
