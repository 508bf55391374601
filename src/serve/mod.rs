//! Many live streams in one process: added, changed and removed while others run.

pub mod events;
mod host;
mod lines;
mod nets;
#[cfg(test)]
mod soak;
mod stream;
#[cfg(test)]
mod tests;

pub use events::{Events, Happening, ServeEvent};
pub use host::Host;
pub use stream::Stream;
