//! How many clients the system lets this process have: each is a descriptor (`RLIMIT_NOFILE`).

use crate::error::StartError;

/// Descriptors that are for nobody's WebSocket: 64 for those who fetch the page or are told that the server is full, the rest for
/// files, Redis and the runtime.
const RESERVED: usize = 256;
/// No default exceeds this, whatever the system allows. 20,000: 200 MiB of memory, were all of them quiet and over TLS.
const DEFAULT_MAX: usize = 20_000;
/// Where the system does not say what it allows.
const DEFAULT_UNKNOWN: usize = 4_000;

/// Raises the soft limit of this process to the hard one: shells leave it at 1,024.
///
/// For a program of its own; whoever runs the server inside another program decides for it.
pub fn raise_descriptor_limit() {
    // Where that is not allowed, the limit stays as it is, and so many clients fit.
    #[cfg(unix)]
    let _ = rlimit::increase_nofile_limit(u64::MAX);
}

/// What the system allows this process now; none where it does not say.
pub(crate) fn limit() -> Option<usize> {
    #[cfg(unix)]
    return rlimit::Resource::NOFILE.get_soft().ok().map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    #[cfg(not(unix))]
    None
}

/// How many WebSockets there may be, of those that were asked for, under this limit.
///
/// # Errors
/// More were asked for than fit.
pub(crate) fn connections_max(asked_for: Option<usize>, limit: Option<usize>) -> Result<usize, StartError> {
    // Half of a limit that is hardly enough for anything.
    let fits = limit.map(|limit| limit.saturating_sub(RESERVED).max(limit / 2).max(1));
    match (asked_for, limit.zip(fits)) {
        (Some(asked_for), Some((limit, fits))) if asked_for > fits => {
            Err(StartError::TooFewDescriptors { asked_for, limit, fits })
        }
        (Some(asked_for), _) => Ok(asked_for),
        (None, Some((_, fits))) => Ok(fits.min(DEFAULT_MAX)),
        (None, None) => Ok(DEFAULT_UNKNOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_there_are_as_many_clients_as_descriptors_but_for_a_reserve() {
        let default = |limit| connections_max(None, limit).unwrap();
        assert_eq!([1_024, 20_000, 1 << 20].map(|limit| default(Some(limit))), [768, 19_744, 20_000]);
        assert_eq!([1, 256, 300].map(|limit| default(Some(limit))), [1, 128, 150]);
        assert_eq!((default(Some(usize::MAX)), default(None)), (20_000, 4_000));
    }

    #[test]
    fn what_was_asked_for_holds_where_it_fits_and_is_refused_in_a_sentence_where_not() {
        assert_eq!(connections_max(Some(30_000), Some(40_000)).unwrap(), 30_000);
        assert_eq!(connections_max(Some(5), None).unwrap(), 5);
        let said = connections_max(Some(5_000), Some(1_024)).unwrap_err().to_string();
        for part in ["max_connections", "5000", "1024", "768", "LimitNOFILE"] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_system_says_what_it_allows() {
        assert!(limit().is_some_and(|limit| limit > 8));
    }
}
