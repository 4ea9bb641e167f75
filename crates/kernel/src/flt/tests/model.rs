//! What connections must do, without any of how they do it.

use super::{CONNECTIONS, LONGEST, RECEIVERS, SENDERS};

/// Connections at a time.
pub(super) const MAXIMUM: u32 = 2;
const HEADER: u32 = 16;

const SUCCESS: u32 = abi::STATUS_SUCCESS.bits();
const PENDING: u32 = abi::STATUS_PENDING.bits();
const TIMEOUT: u32 = abi::STATUS_TIMEOUT.bits();
const CANCELLED: u32 = abi::STATUS_CANCELLED.bits();
const DISCONNECTED: u32 = abi::STATUS_PORT_DISCONNECTED.bits();
const TOO_SMALL: u32 = abi::STATUS_BUFFER_TOO_SMALL.bits();
const OVERFLOW: u32 = abi::STATUS_BUFFER_OVERFLOW.bits();
const INVALID: u32 = abi::STATUS_INVALID_PARAMETER.bits();
const NO_WAITER: u32 = abi::STATUS_FLT_NO_WAITER_FOR_REPLY.bits();
const COUNT_LIMIT: u32 = abi::STATUS_CONNECTION_COUNT_LIMIT.bits();
const NOT_FOUND: u32 = abi::STATUS_NOT_FOUND.bits();

#[derive(Clone, Debug)]
pub(super) enum Step {
    Connect,
    CloseHandle { connection: usize },
    CloseClient { connection: usize },
    Send { sender: usize, connection: usize, length: u32, fill: u8, room: Option<u32>, timeout: Option<u32> },
    Get { connection: usize, receiver: usize, room: u32 },
    Cancel { connection: usize, receiver: usize },
    Reply { connection: usize, id: u64, length: u32, fill: u8 },
    Message { connection: usize, length: u32, room: u32 },
    Wait,
}

/// What a step tells at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Status(u32),
    Count(u32, u64),
}

/// How sending has ended.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) status: abi::NTSTATUS,
    pub(super) replied: u32,
    pub(super) bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Pending {
    sender: usize,
    length: u32,
    fill: u8,
    room: Option<u32>,
    /// Steps that it may still take.
    left: Option<u32>,
    /// Known when it has been taken.
    id: Option<u64>,
    /// The receiver that has it, whose buffer tells the number.
    taken_by: Option<usize>,
}

#[derive(Debug, Default)]
struct Connection {
    has_handle: bool,
    has_client: bool,
    over: bool,
    ends: u64,
    /// Not taken, oldest first; and taken, waiting for replies.
    queue: Vec<Pending>,
    taken: Vec<Pending>,
    /// Requests that wait, oldest first: which, and their room.
    waiting: Vec<(usize, u32)>,
}

/// What a receiver was told, until the real one is looked at.
#[derive(Clone, Debug)]
struct Receipt {
    status: u32,
    message: Option<(u32, u8, Option<u32>)>,
}

#[derive(Debug)]
pub(super) struct Model {
    random: u64,
    connections: Vec<Connection>,
    /// What each sender must have been told.
    senders: Vec<SenderState>,
    /// By connection and receiver.
    receipts: Vec<Vec<Option<Receipt>>>,
    /// Receivers that the room has, waiting or told.
    busy: Vec<Vec<bool>>,
    /// Numbers of messages, of all connections.
    ids: Vec<u64>,
}

#[derive(Clone, Debug)]
enum SenderState {
    Idle,
    Waits,
    /// Status; and of a reply how many bytes of what.
    Ended(u32, Option<(u32, u8)>),
}

impl Model {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: seed,
            connections: Vec::new(),
            senders: vec![SenderState::Idle; SENDERS],
            receipts: vec![vec![None; RECEIVERS]; CONNECTIONS],
            busy: vec![vec![false; RECEIVERS]; CONNECTIONS],
            ids: vec![0, u64::MAX],
        }
    }

    /// A number below `limit` (SplitMix64).
    fn below(&mut self, limit: u32) -> u32 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.random;
        value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from((value ^ value >> 31) % u64::from(limit)).expect("below a small number")
    }

    fn index(&mut self, limit: usize) -> usize {
        self.below(u32::try_from(limit).expect("small")) as usize
    }

    fn fill(&mut self) -> u8 {
        self.below(256).to_le_bytes()[0]
    }

    /// The next step; one that can be made.
    pub(super) fn choose(&mut self) -> Option<Step> {
        if self.connections.is_empty() {
            return Some(Step::Connect);
        }
        let connection = self.index(self.connections.len());
        let open = self.connections[connection].has_handle;
        let step = match self.below(16) {
            0 if self.connections.len() < CONNECTIONS => Step::Connect,
            1 if open && self.below(3) == 0 => Step::CloseHandle { connection },
            2 if self.below(3) == 0 => Step::CloseClient { connection },
            3..=6 => {
                let idle = (0..SENDERS).find(|sender| matches!(self.senders[*sender], SenderState::Idle));
                let Some(sender) = idle else { return Some(Step::Wait) };
                let room = (self.below(4) > 0).then(|| self.below(LONGEST + 1));
                let timeout = (self.below(3) > 0).then(|| self.below(6));
                let (length, fill) = (self.below(LONGEST + 1), self.fill());
                Step::Send { sender, connection, length, fill, room, timeout }
            }
            7..=10 if open => {
                let Some(receiver) = (0..RECEIVERS).find(|one| !self.busy[connection][*one]) else {
                    return Some(Step::Wait);
                };
                let room = [15, 16, 40, HEADER + LONGEST][self.index(4)];
                Step::Get { connection, receiver, room }
            }
            11 if open => Step::Cancel { connection, receiver: self.index(RECEIVERS) },
            12..=13 if open => {
                let waits = self.connections[connection].taken.first().and_then(|message| message.id);
                let known = self.index(self.ids.len());
                let known = self.ids[known];
                let id = if self.below(4) > 0 { waits.unwrap_or(known) } else { known };
                Step::Reply { connection, id, length: 8 + self.below(LONGEST), fill: self.fill() }
            }
            14 if open => Step::Message { connection, length: self.below(30), room: self.below(30) },
            _ => Step::Wait,
        };
        Some(step)
    }

    /// The next step towards the end, when nobody waits and nothing is open.
    pub(super) fn wind_up(&mut self) -> Option<Step> {
        let open = self.connections.iter().position(|connection| connection.has_handle);
        let client = self.connections.iter().position(|connection| connection.has_client);
        open.map(|connection| Step::CloseHandle { connection })
            .or(client.map(|connection| Step::CloseClient { connection }))
    }

    pub(super) fn is_over(&self) -> bool {
        let idle = self.senders.iter().all(|sender| matches!(sender, SenderState::Idle));
        idle && self
            .connections
            .iter()
            .all(|one| !one.has_handle && !one.has_client && one.waiting.is_empty())
    }

    pub(super) fn ends(&self, connection: usize) -> u64 {
        self.connections[connection].ends
    }

    /// What the step must have told, and what it changes.
    pub(super) fn apply(&mut self, step: &Step, told: &Told, said: &str) {
        let expected = match *step {
            Step::Connect => Told::Status(self.connect()),
            Step::CloseHandle { connection } => {
                self.disconnect(connection, CANCELLED);
                let it = &mut self.connections[connection];
                it.has_handle = false;
                it.ends += 1;
                Told::Nothing
            }
            Step::CloseClient { connection } => {
                if std::mem::take(&mut self.connections[connection].has_client) {
                    self.disconnect(connection, DISCONNECTED);
                }
                Told::Nothing
            }
            Step::Send { sender, connection, length, fill, room, timeout } => {
                let (id, taken_by) = (None, None);
                self.send(connection, Pending { sender, length, fill, room, left: timeout, id, taken_by });
                Told::Nothing
            }
            Step::Get { connection, receiver, room } => Told::Status(self.get(connection, receiver, room)),
            Step::Cancel { connection, receiver } => Told::Status(self.cancel(connection, receiver)),
            Step::Reply { connection, id, length, fill } => {
                Told::Status(self.reply(connection, id, length, fill))
            }
            Step::Message { connection, length, room } => {
                let over = self.connections[connection].over;
                if over {
                    Told::Count(DISCONNECTED, 0)
                } else {
                    Told::Count(SUCCESS, length.min(room).into())
                }
            }
            Step::Wait => Told::Nothing,
        };
        assert_eq!(*told, expected, "{said}");
        self.pass_time();
    }

    fn connect(&mut self) -> u32 {
        let living = self.connections.iter().filter(|one| !one.over).count();
        if living >= MAXIMUM as usize {
            return COUNT_LIMIT;
        }
        self.connections.push(Connection { has_handle: true, has_client: true, ..Connection::default() });
        SUCCESS
    }

    fn disconnect(&mut self, connection: usize, receivers: u32) {
        let it = &mut self.connections[connection];
        it.over = true;
        for message in it.queue.drain(..).chain(it.taken.drain(..)) {
            self.senders[message.sender] = SenderState::Ended(DISCONNECTED, None);
        }
        for (receiver, _) in std::mem::take(&mut it.waiting) {
            self.receipts[connection][receiver] = Some(Receipt { status: receivers, message: None });
        }
    }

    fn send(&mut self, connection: usize, message: Pending) {
        let it = &mut self.connections[connection];
        self.senders[message.sender] = SenderState::Waits;
        if it.over {
            self.senders[message.sender] = SenderState::Ended(DISCONNECTED, None);
            return;
        }
        // The first that has room, and those before it have too little.
        while !it.waiting.is_empty() {
            let (receiver, room) = it.waiting.remove(0);
            if room >= HEADER + message.length {
                self.take(connection, receiver, message);
                return;
            }
            self.receipts[connection][receiver] = Some(Receipt { status: TOO_SMALL, message: None });
        }
        it.queue.push(message);
    }

    fn take(&mut self, connection: usize, receiver: usize, mut message: Pending) {
        let shown = Some((message.length, message.fill, message.room));
        self.receipts[connection][receiver] = Some(Receipt { status: SUCCESS, message: shown });
        if message.room.is_some() {
            message.taken_by = Some(receiver);
            self.connections[connection].taken.push(message);
        } else {
            self.senders[message.sender] = SenderState::Ended(SUCCESS, None);
        }
    }

    fn get(&mut self, connection: usize, receiver: usize, room: u32) -> u32 {
        let it = &mut self.connections[connection];
        if room < HEADER {
            return INVALID;
        }
        if it.over {
            return DISCONNECTED;
        }
        if it.queue.is_empty() {
            it.waiting.push((receiver, room));
            self.busy[connection][receiver] = true;
            return PENDING;
        }
        if room < HEADER + it.queue[0].length {
            return TOO_SMALL;
        }
        let message = it.queue.remove(0);
        self.busy[connection][receiver] = true;
        self.take(connection, receiver, message);
        SUCCESS
    }

    fn cancel(&mut self, connection: usize, receiver: usize) -> u32 {
        let it = &mut self.connections[connection];
        let Some(index) = it.waiting.iter().position(|(one, _)| *one == receiver) else { return NOT_FOUND };
        it.waiting.remove(index);
        self.receipts[connection][receiver] = Some(Receipt { status: CANCELLED, message: None });
        SUCCESS
    }

    fn reply(&mut self, connection: usize, id: u64, length: u32, fill: u8) -> u32 {
        let it = &mut self.connections[connection];
        if length < HEADER {
            return INVALID;
        }
        if it.over {
            return DISCONNECTED;
        }
        let Some(index) = it.taken.iter().position(|message| message.id == Some(id)) else {
            return NO_WAITER;
        };
        let message = it.taken.remove(index);
        let (count, room) = (length - HEADER, message.room.unwrap_or(0));
        let status = if count > room { OVERFLOW } else { SUCCESS };
        self.senders[message.sender] = SenderState::Ended(status, Some((count.min(room), fill)));
        status
    }

    /// A step's time has passed.
    fn pass_time(&mut self) {
        for it in &mut self.connections {
            for list in [&mut it.queue, &mut it.taken] {
                list.retain_mut(|message| {
                    let over = message.left == Some(0);
                    message.left = message.left.map(|left| left.saturating_sub(1));
                    if over {
                        self.senders[message.sender] = SenderState::Ended(TIMEOUT, None);
                    }
                    !over
                });
            }
        }
    }

    pub(super) fn check_sender(&mut self, sender: usize, sent: Option<Sent>, said: &str) {
        match (&self.senders[sender], sent) {
            (SenderState::Ended(status, reply), Some(sent)) => {
                assert_eq!(sent.status.bits(), *status, "{said}: sender {sender}");
                let (count, fill) = reply.unwrap_or_default();
                assert_eq!(sent.replied, count, "{said}: bytes of sender {sender}");
                let (front, rest) = sent.bytes.split_at(count as usize);
                assert!(front.iter().all(|byte| *byte == fill), "{said}: the reply of sender {sender}");
                assert!(rest.iter().all(|byte| *byte == 0xA5), "{said}: beyond the reply of sender {sender}");
                self.senders[sender] = SenderState::Idle;
            }
            (SenderState::Ended(..), None) => panic!("{said}: sender {sender} is not told"),
            (other, Some(sent)) => panic!("{said}: sender {sender} is told {sent:?}, and {other:?}"),
            (_, None) => {}
        }
    }

    /// Whether the room has a request of this receiver's.
    pub(super) fn awaits(&self, connection: usize, receiver: usize) -> bool {
        self.busy[connection][receiver]
    }

    /// What the receiver sees: status, length, number and bytes.
    pub(super) fn check_receiver(
        &mut self,
        (connection, receiver): (usize, usize),
        (status, length, id, message): (Option<u32>, u64, u64, &[u8]),
        said: &str,
    ) {
        let receipt = self.receipts[connection][receiver].take();
        let place = format!("{said}: receiver {receiver} of connection {connection}");
        assert_eq!(status, receipt.as_ref().map(|receipt| receipt.status), "{place}");
        let Some(Receipt { message: expected, .. }) = receipt else { return };
        self.busy[connection][receiver] = false;
        let Some((bytes, fill, room)) = expected else { return assert_eq!(length, 0, "{place}") };
        assert_eq!(length, u64::from(HEADER + bytes), "{place}");
        let reply_length = u32::from_le_bytes(message[..4].try_into().expect("four bytes"));
        assert_eq!(reply_length, room.map_or(0, |room| room + HEADER), "{place}");
        let data = &message[HEADER as usize..(HEADER + bytes) as usize];
        assert!(data.iter().all(|byte| *byte == fill), "{place}: the message");
        assert!(
            message[(HEADER + bytes) as usize..].iter().all(|byte| *byte == 0),
            "{place}: beyond the message"
        );
        assert!(!self.ids.contains(&id), "{place}: a number comes twice");
        self.ids.push(id);
        let its = |one: &&mut Pending| one.taken_by == Some(receiver) && one.id.is_none();
        if let Some(one) = self.connections[connection].taken.iter_mut().find(its) {
            one.id = Some(id);
        }
    }
}
