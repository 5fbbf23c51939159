//! Many clients in rooms of a few.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::client::{Client, Seat, Target};

/// People in one room: a usual call.
pub const ROOM_SIZE: usize = 4;
/// How many enter at the same time, where speed is not what is measured.
const ENTERING_MAX: usize = 64;

/// A client in its room.
pub struct Member {
    /// Its connection.
    pub client: Client,
    /// Its place.
    pub seat: Seat,
    /// Whom it signals to: the next one of its room.
    pub next: String,
}

/// The room of the client of this number.
pub fn room(number: usize) -> String {
    format!("room-{}", number / ROOM_SIZE)
}

/// Lets the clients of these numbers enter their rooms.
///
/// # Errors
/// Where one of them cannot.
pub async fn enter(target: &Target, numbers: std::ops::Range<usize>) -> anyhow::Result<Vec<Member>> {
    let entering = Arc::new(Semaphore::new(ENTERING_MAX));
    let mut joining = JoinSet::new();
    for number in numbers {
        let (target, entering) = (target.clone(), Arc::clone(&entering));
        joining.spawn(async move {
            let _permit = entering.acquire_owned().await?;
            let mut client = Client::connect(&target, number).await?;
            let seat = client.enter(&room(number), &format!("peer{number}"), None).await?;
            anyhow::Ok((number, client, seat))
        });
    }
    let mut entered = Vec::new();
    while let Some(joined) = joining.join_next().await {
        let count = entered.len();
        entered.push(joined?.with_context(|| format!("after {count} had entered"))?);
    }
    entered.sort_by_key(|(number, _, _)| *number);
    let ids: Vec<String> = entered.iter().map(|(_, _, seat)| seat.id.clone()).collect();
    let next = |place: usize| {
        let first = place - place % ROOM_SIZE;
        ids[first + (place - first + 1) % ROOM_SIZE.min(ids.len() - first)].clone()
    };
    let members = entered.into_iter().enumerate();
    Ok(members.map(|(place, (_, client, seat))| Member { client, seat, next: next(place) }).collect())
}
