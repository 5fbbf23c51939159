//! Processor time by thread, from `/proc/self/task` (Linux): who in this process does the work.

use std::collections::BTreeMap;
use std::time::Duration;

/// Processor time so far of each running thread, with its name.
#[derive(Clone, Debug, Default)]
pub struct Threads(BTreeMap<u32, (String, Duration)>);

impl Threads {
    /// As it is now; threads that end meanwhile are left out.
    ///
    /// # Errors
    /// Where there is no `/proc`.
    pub fn now() -> std::io::Result<Self> {
        let mut threads = BTreeMap::new();
        for entry in std::fs::read_dir("/proc/self/task")? {
            let folder = entry?.path();
            let id = folder.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
            if let (Some(id), Some(name), Some(time)) = (id, read("comm"), read("schedstat"))
                && let Some(time) = read_time(&time)
            {
                threads.insert(id, (name.trim_end().to_owned(), time));
            }
        }
        Ok(Self(threads))
    }

    /// What was used since `earlier`, by name; threads of one name together.
    pub fn since(&self, earlier: &Self) -> BTreeMap<String, Duration> {
        let mut by_name = BTreeMap::new();
        for (id, (name, time)) in &self.0 {
            let before = earlier.0.get(id).map_or(Duration::ZERO, |(_, time)| *time);
            *by_name.entry(name.clone()).or_default() += time.saturating_sub(before);
        }
        by_name
    }
}

/// The first number: nanoseconds on a processor.
fn read_time(schedstat: &str) -> Option<Duration> {
    schedstat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
// Helpers of tests are tests too.
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_is_the_time() {
        assert_eq!(read_time("1500000000 20 3\n"), Some(Duration::from_millis(1_500)));
        assert_eq!(read_time("much"), None);
    }

    #[test]
    fn a_thread_that_works_is_seen_under_its_name() {
        let before = Threads::now().unwrap();
        let (done, ended) = (std::sync::mpsc::channel::<()>(), std::sync::mpsc::channel::<()>());
        let worker = std::thread::Builder::new().name("worker".to_owned()).spawn(move || {
            let start = cpu_time::ThreadTime::now();
            while start.elapsed() < Duration::from_millis(50) {}
            done.0.send(()).unwrap();
            ended.1.recv().unwrap();
        });
        done.1.recv().unwrap();
        let used = Threads::now().unwrap().since(&before);
        ended.0.send(()).unwrap();
        worker.unwrap().join().unwrap();
        assert!(used["worker"] >= Duration::from_millis(45), "{used:?}");
    }
}
