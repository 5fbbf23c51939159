//! The thread that carries calls.

/// Makes a runtime for calls, with one thread of this name.
///
/// All connections of a call take a part of a core: with a thread for each core, packets wander between them, and each step wakes
/// another thread. Measured in a call of two: twice as many switches, for the same packets. What takes long (hashing,
/// files, names) has threads of its own in any case.
///
/// # Errors
/// When the system gives no thread or no sockets.
pub fn runtime(thread_name: &str) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name(thread_name).enable_all().build()
}
