use super::*;

const MS: Duration = Duration::from_millis(1);

/// A peer whose packets come as they are told, and the changes by the time at which they were noticed, in ms.
struct Scene {
    rhythm: Rhythm,
    began: Instant,
    now: Instant,
    changes: Vec<(u128, Change)>,
}

impl Scene {
    fn new() -> Self {
        let now = Instant::now();
        Self { rhythm: Rhythm::default(), began: now, now, changes: Vec::new() }
    }

    /// Time passes, with every look when it is due.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.rhythm.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.look();
        }
        self.now = until;
    }

    fn look(&mut self) {
        if let Some(change) = self.rhythm.look(self.now) {
            self.changes.push((self.now.duration_since(self.began).as_millis(), change));
        }
    }

    /// A packet after each of these gaps, in ms.
    fn packets(&mut self, gaps: impl IntoIterator<Item = u64>) {
        for gap in gaps {
            self.pass(MS * u32::try_from(gap).unwrap());
            self.rhythm.handle_media(self.now);
        }
    }

    /// Sound for so many seconds.
    fn sound(&mut self, secs: usize) {
        self.packets(std::iter::repeat_n(20, secs * 50));
    }

    /// After how many ms without a packet each silence was noticed.
    fn silences(&self) -> Vec<u128> {
        let silence = |(_, change): &(u128, Change)| match change {
            Change::FellSilent(after) => Some(after.as_millis()),
            Change::HeardAgain => None,
        };
        self.changes.iter().filter_map(silence).collect()
    }
}

#[test]
fn who_sends_all_the_time_is_missed_after_a_fifth_of_a_second_and_once() {
    let mut scene = Scene::new();
    scene.sound(5);
    scene.pass(3_000 * MS);
    scene.packets([10]);
    scene.pass(50 * MS);
    let expected = [(5_200, Change::FellSilent(200 * MS)), (8_050, Change::HeardAgain)];
    assert_eq!(scene.changes, expected);
}

#[test]
fn a_shorter_gap_is_none_and_the_next_silence_is_three_times_as_long() {
    let mut scene = Scene::new();
    scene.sound(5);
    scene.packets([180]);
    scene.sound(5);
    scene.packets([500]);
    assert_eq!(scene.silences(), [0; 0]);
    scene.sound(5);
    scene.pass(3_000 * MS);
    // Half a second is more than a gap may be.
    assert_eq!(scene.silences(), [999]);
}

#[test]
fn air_that_pauses_once_a_minute_is_not_lost_each_minute() {
    let mut scene = Scene::new();
    for _ in 0..10 {
        scene.sound(59);
        scene.packets([250]);
    }
    assert_eq!(scene.silences(), [200], "the first only");
}

#[test]
fn a_pause_is_forgotten_after_two_minutes() {
    let mut scene = Scene::new();
    scene.sound(5);
    scene.packets([190]);
    scene.sound(121);
    scene.pass(3_000 * MS);
    assert_eq!(scene.silences(), [200]);
}

#[test]
fn on_a_path_that_differs_more_is_waited_for() {
    let mut scene = Scene::new();
    scene.packets([1, 80, 5, 60, 3, 31].repeat(50));
    scene.pass(3_000 * MS);
    assert_eq!(scene.silences(), [240]);
}

#[test]
fn where_a_restart_costs_more_is_waited_for() {
    let mut scene = Scene::new();
    scene.rhythm.handle_round_trip(100 * MS);
    scene.sound(5);
    scene.pass(3_000 * MS);
    assert_eq!(scene.silences(), [300]);
}

#[test]
fn what_was_slow_at_the_beginning_is_no_measure() {
    let mut scene = Scene::new();
    scene.packets([20, 300, 320, 20]);
    scene.sound(3);
    scene.pass(3_000 * MS);
    assert_eq!(scene.silences(), [200]);
}

#[test]
fn who_sends_now_and_then_is_not_missed() {
    let mut scene = Scene::new();
    scene.packets([500; 50]);
    scene.packets([20, 20, 20, 2_000].repeat(20));
    assert_eq!(scene.changes, []);
}

#[test]
fn after_a_silence_a_second_of_packets_comes_before_the_next() {
    let mut scene = Scene::new();
    scene.sound(5);
    scene.pass(2_000 * MS);
    scene.packets([20; 10]);
    scene.pass(2_000 * MS);
    assert_eq!(scene.silences(), [200]);
    scene.sound(5);
    scene.pass(2_000 * MS);
    assert_eq!(scene.silences(), [200, 999]);
}

#[test]
fn nobody_is_missed_while_this_machine_stood_still() {
    let mut scene = Scene::new();
    scene.sound(5);
    // Neither packets nor looks, then a look before what waited is read.
    for _ in 0..5 {
        scene.now += 700 * MS;
        scene.look();
        scene.now += MS;
        scene.rhythm.handle_media(scene.now);
        scene.sound(2);
    }
    assert_eq!(scene.changes, []);
}

#[test]
fn what_waits_in_the_socket_is_read_before_the_silence_is_one() {
    let mut scene = Scene::new();
    scene.sound(5);
    scene.now = scene.rhythm.poll_timeout().unwrap();
    scene.look();
    scene.packets([5]);
    scene.sound(2);
    assert_eq!(scene.changes, []);
}
