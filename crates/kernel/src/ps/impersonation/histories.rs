//! Random histories of servers and clients against a plain model of the rules: what each step answers, whom each thread acts for
//! after it, and that nothing is left behind at the end.

use std::sync::Arc;

use abi::NTSTATUS;

use super::tests::token_objects;
use super::*;
use crate::ke::tests::on_mock;
use crate::ob::{Object, ObjectBody, ObjectType};
use crate::ps::{self, inside};
use crate::se::{self, Ace, Acl, ClientContext, QualityOfService, SecurityDescriptor, Sid, well_known};

const MACHINES: u64 = 50;
const HISTORIES: u64 = 250;
const STEPS: u64 = 25;
const SLOTS: usize = 3;
const LEVELS: [Level; 4] = [Level::Anonymous, Level::Identification, Level::Impersonation, Level::Delegation];

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).expect("31 bits") % limit
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 1
    }
}

// ---- the model -----------------------------------------------------------------------------------------------------------

/// Who a process may be: a name, whether he may impersonate anybody, how high he stands.
const PEOPLE: [(u32, bool, u32); 4] =
    [(500, true, 0x3000), (1001, false, 0x2000), (1002, false, 0x2000), (1001, false, 0x1000)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Client {
    person: usize,
    /// Of its token; a primary one goes as far as one likes.
    cap: Level,
    level: Level,
}

#[derive(Clone, Copy)]
struct Kept {
    person: usize,
    cap: Level,
    asked: Level,
}

#[derive(Default)]
struct Model {
    ended: [bool; PEOPLE.len()],
    clients: [Option<Client>; PEOPLE.len()],
    kept: [Option<Kept>; SLOTS],
}

impl Model {
    fn keep(
        &mut self,
        slot: usize,
        from: usize,
        quality: QualityOfService,
        remote: bool,
    ) -> Result<(), NTSTATUS> {
        if self.ended[from] {
            return Err(abi::STATUS_PROCESS_IS_TERMINATING);
        }
        let (person, cap) = match self.clients[from] {
            None => (from, Level::Delegation),
            Some(Client { level: Level::Anonymous | Level::Identification, .. }) => {
                return Err(abi::STATUS_BAD_IMPERSONATION_LEVEL);
            }
            Some(client) if quality.level > client.level || remote && client.level != Level::Delegation => {
                return Err(abi::STATUS_BAD_IMPERSONATION_LEVEL);
            }
            Some(client) => (client.person, client.cap),
        };
        let cap = if quality.dynamic_tracking { cap } else { quality.level };
        self.kept[slot] = Some(Kept { person, cap, asked: quality.level });
        Ok(())
    }

    fn act(&mut self, server: usize, person: usize, cap: Level, asked: Level) -> Result<(), NTSTATUS> {
        if self.ended[server] {
            return Err(abi::STATUS_PROCESS_IS_TERMINATING);
        }
        let ((own, anybody, height), (theirs, _, their_height)) = (PEOPLE[server], PEOPLE[person]);
        let may = anybody || own == theirs && their_height <= height;
        let level = asked.min(cap);
        let level = if may { level } else { level.min(Level::Identification) };
        self.clients[server] = Some(Client { person, cap, level });
        Ok(())
    }

    fn open(&self, server: usize, owner: usize) -> Result<(), NTSTATUS> {
        let who = match self.clients[server] {
            Some(client) if client.level < Level::Impersonation => {
                return Err(abi::STATUS_BAD_IMPERSONATION_LEVEL);
            }
            Some(client) => client.person,
            None => server,
        };
        if PEOPLE[who].0 == PEOPLE[owner].0 { Ok(()) } else { Err(abi::STATUS_ACCESS_DENIED) }
    }

    fn open_token(&self, server: usize, as_self: bool) -> Result<Level, NTSTATUS> {
        match self.clients[server] {
            None => Err(abi::STATUS_NO_TOKEN),
            Some(Client { level: Level::Anonymous, .. }) => Err(abi::STATUS_CANT_OPEN_ANONYMOUS),
            Some(Client { level: Level::Identification, .. }) if !as_self => {
                Err(abi::STATUS_BAD_IMPERSONATION_LEVEL)
            }
            Some(client) => Ok(client.level),
        }
    }
}

// ---- the room ------------------------------------------------------------------------------------------------------------

/// Something that one person may open.
struct Owned;

impl ObjectBody for Owned {
    fn object_type(&self) -> ObjectType {
        ObjectType { name: "Owned", parses: false, generic_mapping: [1, 2, 4, 7] }
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

fn sid(person: usize) -> Sid {
    well_known::account(PEOPLE[person].0)
}

fn token(person: usize) -> Token {
    let base = if PEOPLE[person].1 { Token::administrator() } else { Token::user() };
    Token { user: sid(person), owner: sid(person), integrity: PEOPLE[person].2, ..base }
}

struct Room<'a> {
    kernel: &'a Kernel,
    processes: Vec<Arc<Process>>,
    owned: Vec<Arc<Object>>,
    kept: [Option<ClientContext>; SLOTS],
}

impl<'a> Room<'a> {
    fn new(kernel: &'a Kernel) -> Self {
        let owned = |person| {
            let object = Object::new(0, Owned);
            let dacl = Some(Acl::new(vec![Ace::allow(7, sid(person))]));
            let control = abi::SE_DACL_PRESENT;
            object.set_security(SecurityDescriptor { dacl, control, ..SecurityDescriptor::default() });
            object
        };
        let people = 0..PEOPLE.len();
        Self {
            kernel,
            processes: people.clone().map(|person| kernel.ps.create_as("one", token(person))).collect(),
            owned: people.map(owned).collect(),
            kept: [const { None }; SLOTS],
        }
    }

    fn within<R>(&self, server: usize, body: impl FnOnce(&Thread, &Process) -> R) -> R {
        let process = &self.processes[server];
        inside(self.kernel, process, |thread| body(thread, process)).expect("running")
    }

    /// The thread's token by handle, given to the thread again: how far it goes.
    fn pass_token(&self, server: usize, as_self: bool) -> Result<Level, NTSTATUS> {
        self.within(server, |thread, process| {
            let access = abi::TOKEN_IMPERSONATE | abi::TOKEN_QUERY;
            let handle = ps::open_thread_token(self.kernel, process, thread, access, as_self)?;
            let entry = process.handles.get(handle).expect("just opened");
            let kind = entry.object.body::<se::TokenBody>().expect("a token").kind;
            ps::set_thread_token(self.kernel, process, thread, Some(handle)).expect("it may");
            process.handles.close(self.kernel, process, handle).expect("open");
            match kind {
                TokenKind::Impersonation(level) => Ok(level),
                TokenKind::Primary => panic!("a thread's token is no primary one"),
            }
        })
    }

    fn client(&self, server: usize) -> Option<(Sid, Level)> {
        let client = self.within(server, |thread, _| impersonation(thread));
        client.map(|client| (client.token.token().user, client.level))
    }
}

/// One step in both.
fn step(random: &mut Random, model: &mut Model, room: &mut Room<'_>) {
    let (server, other, slot) = (random.below(PEOPLE.len()), random.below(PEOPLE.len()), random.below(SLOTS));
    let level = LEVELS[random.below(4)];
    match random.below(24) {
        0..6 => {
            let (dynamic_tracking, effective_only, remote) =
                (random.coin(), random.coin(), random.below(4) == 0);
            let quality = QualityOfService { level, dynamic_tracking, effective_only };
            let kept = room
                .within(server, |thread, _| ClientContext::of_thread(room.kernel, thread, quality, remote));
            assert_eq!(kept.as_ref().err(), model.keep(slot, server, quality, remote).as_ref().err());
            if let Ok(kept) = kept {
                room.kept[slot] = Some(kept);
            }
        }
        6..12 => {
            let Some(kept) = model.kept[slot] else { return };
            let context = room.kept[slot].as_ref().expect("as in the model");
            let acts = room.within(server, |thread, _| context.impersonate(room.kernel, thread));
            assert_eq!(acts, model.act(server, kept.person, kept.cap, kept.asked));
        }
        12..14 => {
            let token = TokenReference::of_process(room.kernel, &room.processes[other]);
            let Ok(token) = token else {
                assert!(model.ended[other]);
                return;
            };
            let request = ImpersonationRequest { level, ..ImpersonationRequest::default() };
            let acts = room.within(server, |thread, _| impersonate(room.kernel, thread, token, request));
            assert_eq!(acts, model.act(server, other, Level::Delegation, level));
        }
        14..16 => {
            assert_eq!(
                room.within(server, |thread, _| revert(thread)).is_some(),
                model.clients[server].is_some()
            );
            model.clients[server] = None;
        }
        16 => {
            room.kept[slot] = None;
            model.kept[slot] = None;
        }
        17..20 => {
            let opened = room.within(server, |_, process| {
                se::check_for_caller(room.kernel, process, &room.owned[other], 1, true)
            });
            assert_eq!(opened.map(drop), model.open(server, other));
        }
        20..23 if !model.ended[server] => {
            let as_self = random.coin();
            let passed = room.pass_token(server, as_self);
            let expected = model.open_token(server, as_self);
            assert_eq!(passed, expected);
            if let (Ok(level), Some(client)) = (expected, model.clients[server]) {
                model.act(server, client.person, level, level).expect("it goes on");
            }
        }
        23 if random.below(4) == 0 => {
            room.kernel.ps.terminate(room.kernel, &room.processes[server]).expect("running");
            model.ended[server] = true;
            model.clients[server] = None;
        }
        _ => {}
    }
}

#[test]
fn random_histories_of_servers_and_clients_are_as_the_rules_say_and_leave_nothing() {
    for number in 0..MACHINES {
        on_mock(number..number + 1, 1, move |machine| {
            for history in 0..HISTORIES {
                run(machine, number * HISTORIES + history);
            }
        });
    }
}

fn run(kernel: &Kernel, seed: u64) {
    let _said = Said(seed);
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let before = token_objects(kernel);
    let (mut model, mut room) = (Model::default(), Room::new(kernel));
    for _ in 0..STEPS {
        step(&mut random, &mut model, &mut room);
        for server in 0..PEOPLE.len() {
            let expected = model.clients[server].map(|client| (sid(client.person), client.level));
            assert_eq!(room.client(server), expected, "of {server}");
        }
    }
    for process in &room.processes {
        kernel.ps.terminate(kernel, process).expect("running");
    }
    drop(room);
    assert_eq!(token_objects(kernel), before, "token objects are left");
}

/// Tells the seed of a history that fails.
struct Said(u64);

impl Drop for Said {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the history of seed {:#x} fails", self.0);
        }
    }
}
