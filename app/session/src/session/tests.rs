//! The session with the server and the transports played by hand.

mod fixture;
mod guarded;
mod hostile;
mod membership;
mod peers;
mod relays;
mod silence;
