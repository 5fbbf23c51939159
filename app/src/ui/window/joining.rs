//! From the lobby into a call: the name, the room, the server, and a server of one's own.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::SystemTime;

use parlor_engine::{Call, CallCommand, CallConfig, Credentials, EnginePolicy, Standby};
use parlor_proto::{DisplayName, RoomId};

use super::in_call::InCall;
use super::{Place, Screen, Window, unix_time};
use crate::config::RecentRoom;
use crate::credentials::of_link;
use crate::hosting::{self, Hosted};
use crate::join_target::{self, JoinTargetError};

impl Window {
    fn server(&self) -> Option<&str> {
        let typed = self.lobby.server.trim();
        (!typed.is_empty()).then_some(typed)
    }

    fn name(&mut self) -> Option<DisplayName> {
        match self.lobby.name.parse() {
            Ok(name) => Some(name),
            Err(_) if self.lobby.name.trim().is_empty() => {
                self.lobby.name_problem = Some("Type your name first.".to_owned());
                None
            }
            Err(error) => {
                self.lobby.name_problem = Some(format!("This can’t be shown as a name: {error}."));
                None
            }
        }
    }

    pub(super) fn join_typed(&mut self) {
        // As in the browser: who names no room wants one of their own.
        if self.lobby.room.trim().is_empty() {
            return self.new_call();
        }
        self.problem = None;
        if self.name().is_none() {
            return;
        }
        match join_target::parse(&self.lobby.room, self.server()) {
            Ok(target) => {
                let credentials = self.credentials_for(target.link.as_ref());
                let link = target.link.map(|link| link.without_secrets());
                self.go(Place { server: target.server, room: target.room, link, credentials });
            }
            Err(JoinTargetError::NoServer(room)) => {
                let words = format!("Which server is “{room}” on? Paste a link, or name the server in the settings.");
                self.lobby.room_problem = Some(words);
            }
            Err(error @ JoinTargetError::Server(_)) => {
                self.lobby.server_problem = Some(error.to_string());
                self.lobby.settings_open = true;
            }
            Err(error) => self.lobby.room_problem = Some(error.to_string()),
        }
    }

    /// Opens the socket to the server of the room in the field, so that joining need not wait for it. Not while it is typed: half an
    /// address is another one's.
    pub(super) fn prepare_join(&mut self) {
        if self.lobby.room.trim().is_empty() {
            return;
        }
        let Ok(target) = join_target::parse(&self.lobby.room, self.server()) else { return };
        let is_ready = |standby: &Standby| standby.is_kept() && *standby.address() == target.server;
        if !self.standby.as_ref().is_some_and(is_ready) {
            let policy = EnginePolicy::default().signaling;
            self.standby = Some(Standby::open(target.server, policy, self.runtime.handle()));
        }
    }

    pub(super) fn new_call(&mut self) {
        self.problem = None;
        if self.name().is_none() {
            return;
        }
        let room =
            RoomId::from_random(std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), SystemTime::now()));
        let Some(server) = self.server() else { return self.host() };
        match join_target::on_server(room, server) {
            Ok(link) => {
                let credentials = of_link(&link);
                let link = link.without_secrets();
                self.go(Place { server: (&link).into(), room: link.room.clone(), link: Some(link), credentials });
            }
            Err(error) => {
                self.lobby.server_problem = Some(error.to_string());
                self.lobby.settings_open = true;
            }
        }
    }

    /// Opens a server on a thread of its own: making a certificate and binding take a moment.
    fn host(&mut self) {
        let (sender, receiver) = sync_channel(1);
        let (runtime, ctx) = (self.runtime.handle().clone(), self.ctx.clone());
        let ice_servers = self.config.ice_servers.clone();
        let start = move || {
            // Nobody waits any more when the window is closing.
            let _ = sender.send(hosting::host(&runtime, ice_servers.as_deref()));
            ctx.request_repaint();
        };
        match std::thread::Builder::new().name("hosting".to_owned()).spawn(start) {
            Ok(_) => self.screen = Screen::Hosting(receiver),
            Err(error) => self.problem = Some(format!("A room can’t be opened on this computer: {error}.")),
        }
    }

    pub(super) fn hosted(&mut self, hosted: Hosted) {
        let room =
            RoomId::from_random(std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), SystemTime::now()));
        let link = hosted.link(&room);
        tracing::info!(%link, "a room is open on this computer");
        self.hosted = Some(hosted);
        self.screen = Screen::Lobby;
        self.go(Place { server: (&link).into(), room, link: Some(link), credentials: Credentials::default() });
    }

    /// Joins, as soon as an earlier call has let go of the devices.
    pub(super) fn go(&mut self, place: Place) {
        if self.closing.is_some() {
            self.waiting = Some(place);
            return;
        }
        let Some(name) = self.name() else { return };
        self.save();
        self.media.open_for_call(&self.lobby, name.as_str());
        let config = CallConfig {
            server: place.server.clone(),
            room: place.room.clone(),
            name,
            credentials: place.credentials.clone(),
            policy: EnginePolicy::default().relay_only(self.lobby.relay_only),
        };
        let ctx = self.ctx.clone();
        let wake = Arc::new(move || crate::ui::wake(&ctx));
        let standby = self.standby.take();
        let call = Call::start_on(standby, config, self.media.local(), self.runtime.handle(), wake);
        // The queue is empty: neither can be refused.
        let _ = call.send(CallCommand::SetMuted(self.lobby.muted));
        let _ = call.send(CallCommand::SetCameraEnabled(!self.lobby.camera_off));
        self.screen = Screen::Call(Box::new(InCall::new(call)));
        self.place = Some(place);
    }

    /// Keeps the room that was just entered among the recent ones.
    pub(super) fn keep_place(&mut self) {
        self.remember_credentials();
        let Some(place) = &self.place else { return };
        // A room hosted here is gone after the call: nothing to come back to.
        if let (Some(link), None) = (&place.link, &self.hosted) {
            let visited = RecentRoom {
                room: place.room.as_str().to_owned(),
                link: link.to_string(),
                at_unix_seconds: unix_time().as_secs(),
            };
            self.config.remember(visited);
        }
        self.save();
    }

    pub(super) fn hosting_failed(&mut self, why: &str) {
        self.screen = Screen::Lobby;
        self.problem = Some(format!("A room can’t be opened on this computer: {}.", why.trim_end_matches('.')));
    }
}
